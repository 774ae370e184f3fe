import { parentPort, workerData } from 'node:worker_threads';
import { mergeAdapter } from '#merge/merge-adapter.js';
import { MergeError } from '#merge/merge-error.js';
import type { MergeAnswer, MergeTask } from './merge-thread.js';

/* The program of a thread that merges one version into a checkpoint and ends. */

const TELL_EVERY_MS = 500;

const tell = (answer: MergeAnswer): void => parentPort?.postMessage(answer, []);
let told_ms = 0;

try {
  const merged = await mergeAdapter({
    ...(workerData as MergeTask),
    // The thread is ended from outside.
    signal: new AbortController().signal,
    onProgress: (done, total) => {
      const now_ms = Date.now();
      if (done < total && now_ms - told_ms < TELL_EVERY_MS) return;
      told_ms = now_ms;
      tell({ progress: { done, total } });
    },
  });
  tell({ merged });
} catch (error) {
  if (error instanceof MergeError) tell({ refused: error.message });
  else
    tell({
      fault: (error instanceof Error ? (error.stack ?? error.message) : String(error)).slice(0, 4_000),
    });
}
