import { parentPort, workerData } from 'node:worker_threads';
import { openBlobStore, type StorageSettings } from '#stores/blobs/open-blob-store.js';
import { isAway } from '#stores/postgres/database-error.js';
import { DerivationRefused } from './derivation-refused.js';
import type { DerivationAnswer } from './derivation-thread.js';
import { derive, type DerivationJob } from './derive.js';

/* The program of a thread that computes one version from others and ends. */

const { storage, job } = workerData as { storage: StorageSettings; job: DerivationJob };
const tell = (answer: DerivationAnswer): void => parentPort?.postMessage(answer, []);

try {
  const blobs = await openBlobStore(storage);
  const result = await derive(job, blobs, (done, total) => tell({ progress: { done, total } }));
  tell({ result });
} catch (error) {
  if (error instanceof DerivationRefused) tell({ refused: error.message });
  else {
    const message = error instanceof Error ? (error.stack ?? error.message) : String(error);
    tell({ fault: { message: message.slice(0, 4_000), away: isAway(error) } });
  }
}
