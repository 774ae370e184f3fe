import { setTimeout as sleep } from 'node:timers/promises';
import { AppError } from '#runtime/app-error.js';
import { isAway } from '#stores/postgres/database-error.js';

const MIN_MS = 100;
const MAX_MS = 3_000;

/** Endless tries: each item is the pause to make before the next. The pause rejects when `signal` aborts. */
export function* backoff(signal: AbortSignal): Generator<() => Promise<void>, never> {
  for (let delay_ms = MIN_MS; ; delay_ms = Math.min(delay_ms * 2, MAX_MS)) {
    yield () => sleep(delay_ms, undefined, { signal });
  }
}

/** Tries again for as long as PostgreSQL, the queue or every engine is away; any other failure is thrown. */
export async function whileAway<T>(work: () => Promise<T>, signal: AbortSignal): Promise<T> {
  for (const pause of backoff(signal)) {
    signal.throwIfAborted();
    try {
      return await work();
    } catch (error) {
      const noEngine = error instanceof AppError && error.code === 'engine_unavailable';
      if (!noEngine && !isAway(error)) throw error;
    }
    await pause();
  }
  throw new Error('backoff never ends');
}
