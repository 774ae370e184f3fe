import { setTimeout as sleep } from 'node:timers/promises';
import { AppError } from '#runtime/app-error.js';

const ANSWER_TIMEOUT_MS = 3_000;
const CLOSE_TIMEOUT_MS = 4_000;

/** Waits for a close, though not for a server that is away: its connection ends with the process. */
export async function closeInTime(closing: Promise<void>): Promise<void> {
  const timer = new AbortController();
  const late = sleep(CLOSE_TIMEOUT_MS, undefined, { signal: timer.signal }).catch(() => undefined);
  closing.catch(() => undefined);
  await Promise.race([closing, late]);
  timer.abort();
}

/** Rejects with dependency_unavailable when the queue fails or does not answer. */
export async function inTime<T>(work: Promise<T>): Promise<T> {
  const timer = new AbortController();
  const late = sleep(ANSWER_TIMEOUT_MS, undefined, { signal: timer.signal }).then(() => {
    throw new Error('the job queue does not answer');
  });
  late.catch(() => undefined);
  work.catch(() => undefined);
  try {
    return await Promise.race([work, late]);
  } catch (cause) {
    throw new AppError('dependency_unavailable', { retryAfter_s: 2, cause });
  } finally {
    timer.abort();
  }
}
