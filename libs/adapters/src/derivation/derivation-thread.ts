import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import type { DerivationResult } from '#contracts/derivations-api.js';
import { AppError } from '#runtime/app-error.js';
import type { StorageSettings } from '#stores/blobs/open-blob-store.js';
import { DerivationRefused } from './derivation-refused.js';
import type { DerivationJob } from './derive.js';

export type DerivationAnswer =
  | { readonly progress: { readonly done: number; readonly total: number } }
  | { readonly result: DerivationResult }
  | { readonly refused: string }
  /** `away`: storage is, so that the same job may succeed later. */
  | { readonly fault: { readonly message: string; readonly away: boolean } };

export interface DerivationLimits {
  readonly timeout_s: number;
  readonly memoryBytes: number;
}

export interface DerivationHooks {
  /** Modules. */
  readonly onProgress: (done: number, total: number) => void;
  readonly signal: AbortSignal;
}

/** Beside this module: .js when built, .ts under a test runner that can load it. */
const PROGRAM = new URL(`./derivation-worker${extname(fileURLToPath(import.meta.url))}`, import.meta.url);
const MIB = 2 ** 20;

/**
 * Computes one version from others in a thread of its own, which ends with it. Throws DerivationRefused for what can
 * never be made, also for what takes longer or more memory than it may; AppError dependency_unavailable when storage is away.
 */
export async function deriveInThread(
  job: Omit<DerivationJob, 'memoryBytes'>,
  { storage, limits }: { readonly storage: StorageSettings; readonly limits: DerivationLimits },
  { onProgress, signal }: DerivationHooks,
): Promise<DerivationResult> {
  signal.throwIfAborted();
  const { timeout_s, memoryBytes } = limits;
  const worker = new Worker(PROGRAM, {
    workerData: { storage, job: { ...job, memoryBytes } },
    resourceLimits: { maxOldGenerationSizeMb: Math.ceil(memoryBytes / MIB) },
  });
  let end: () => void = () => undefined;
  try {
    return await new Promise<DerivationResult>((resolve, reject) => {
      const late = (): void =>
        reject(new DerivationRefused(`Computing the version took longer than ${timeout_s} seconds.`));
      const timer = setTimeout(late, timeout_s * 1_000);
      const leave = (): void => reject(signal.reason as Error);
      signal.addEventListener('abort', leave, { once: true });
      end = () => {
        clearTimeout(timer);
        signal.removeEventListener('abort', leave);
      };
      worker.on('message', (answer: DerivationAnswer) => {
        if ('progress' in answer) onProgress(answer.progress.done, answer.progress.total);
        else if ('result' in answer) resolve(answer.result);
        else reject(faultOf(answer));
      });
      worker.once('error', (error: NodeJS.ErrnoException) => {
        const tooMuch = error.code === 'ERR_WORKER_OUT_OF_MEMORY';
        const allowed = `Computing the version took more than ${Math.round(memoryBytes / MIB)} MiB of memory.`;
        reject(tooMuch ? new DerivationRefused(allowed) : error);
      });
      worker.once('exit', (code) => reject(new Error(`the thread that computes ended with ${code}`)));
    });
  } finally {
    end();
    await worker.terminate();
  }
}

function faultOf(answer: Exclude<DerivationAnswer, { progress: unknown } | { result: unknown }>): Error {
  if ('refused' in answer) return new DerivationRefused(answer.refused);
  const cause = new Error(answer.fault.message);
  return answer.fault.away ? new AppError('dependency_unavailable', { retryAfter_s: 2, cause }) : cause;
}
