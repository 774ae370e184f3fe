import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import type { MergeOrder, Merged } from '#merge/merge-adapter.js';
import { MergeError } from '#merge/merge-error.js';

/** What a thread is given: an order without what cannot be sent to it. */
export type MergeTask = Omit<MergeOrder, 'signal' | 'onProgress'>;

export type MergeAnswer =
  | { readonly progress: { readonly done: number; readonly total: number } }
  | { readonly merged: Merged }
  | { readonly refused: string }
  | { readonly fault: string };

export interface MergeHooks {
  readonly timeout_s: number;
  /** Bytes. */
  readonly onProgress: (done: number, total: number) => void;
  readonly signal: AbortSignal;
}

/** Beside this module: .js when built, .ts under a test runner that can load it. */
const PROGRAM = new URL(`./merge-worker${extname(fileURLToPath(import.meta.url))}`, import.meta.url);

/** Merges in a thread of its own, which ends with it. Throws MergeError for what can never be merged. */
export async function mergeInThread(
  task: MergeTask,
  { timeout_s, onProgress, signal }: MergeHooks,
): Promise<Merged> {
  signal.throwIfAborted();
  const worker = new Worker(PROGRAM, { workerData: task });
  let end: () => void = () => undefined;
  try {
    return await new Promise<Merged>((resolve, reject) => {
      const late = (): void => reject(new MergeError(`Merging took longer than ${timeout_s} seconds.`));
      const timer = setTimeout(late, timeout_s * 1_000);
      const leave = (): void => reject(signal.reason as Error);
      signal.addEventListener('abort', leave, { once: true });
      end = () => {
        clearTimeout(timer);
        signal.removeEventListener('abort', leave);
      };
      worker.on('message', (answer: MergeAnswer) => {
        if ('progress' in answer) onProgress(answer.progress.done, answer.progress.total);
        else if ('merged' in answer) resolve(answer.merged);
        else reject('refused' in answer ? new MergeError(answer.refused) : new Error(answer.fault));
      });
      worker.once('error', reject);
      worker.once('exit', (code) => reject(new Error(`the thread that merges ended with ${code}`)));
    });
  } finally {
    end();
    await worker.terminate();
  }
}
