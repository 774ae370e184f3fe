import { setImmediate, setTimeout } from 'node:timers/promises';

/** Longer than any command takes in a Redis that works; nobody's request waits longer for one that does not. */
const TIMEOUT_MS = 500;

/**
 * Rejects when Redis does not answer in time. A process that was busy itself first reads what came meanwhile, so its
 * own pause is not taken for Redis's.
 */
export async function inTime<T>(work: Promise<T>): Promise<T> {
  const timer = new AbortController();
  work.catch(() => undefined);
  try {
    return await Promise.race([work, late(timer.signal)]);
  } finally {
    timer.abort();
  }
}

async function late(signal: AbortSignal): Promise<never> {
  try {
    await setTimeout(TIMEOUT_MS, undefined, { signal });
  } catch {
    return new Promise(() => undefined);
  }
  for (let round = 0; round < 2; round += 1) await setImmediate();
  throw new Error(`Redis did not answer within ${TIMEOUT_MS} ms`);
}
