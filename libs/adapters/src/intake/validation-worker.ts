import { parentPort, workerData } from 'node:worker_threads';
import type { BlobStore } from '#stores/blobs/blob-store.js';
import { openBlobStore, type StorageSettings } from '#stores/blobs/open-blob-store.js';
import { isAway } from '#stores/postgres/database-error.js';
import { validateAdapter } from './validate-adapter.js';
import type { ValidationAnswer, ValidationJob } from './validation-thread.js';

/*
 * The program of a thread that validates: one job after the other. Who gives up a job ends the thread.
 */
const never = new AbortController().signal;
let blobs: BlobStore | undefined;

async function answer(job: ValidationJob): Promise<ValidationAnswer> {
  try {
    blobs ??= await openBlobStore(workerData as StorageSettings);
    return { validation: await validateAdapter({ ...job, blobs, signal: never }) };
  } catch (error) {
    const message = error instanceof Error ? (error.stack ?? error.message) : String(error);
    return { fault: { message: message.slice(0, 4_000), away: isAway(error) } };
  }
}

parentPort?.on('message', async (job: ValidationJob) => {
  const done = await answer(job);
  parentPort?.postMessage(done, []); // a thread's port has no origin to name
});
