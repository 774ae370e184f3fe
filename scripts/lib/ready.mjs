import { setTimeout as sleep } from 'node:timers/promises';
import { describeExit } from './child.mjs';
import { readable } from './log-line.mjs';
import { StopError } from './stop-error.mjs';

const READY_MS = 600_000;
/** After one server has ended, others may be about to tell their faults too. */
const LATE_FAULTS_MS = 1_500;
const SHOWN_LINES = 20;

/** @typedef {import('./child.mjs').Child} Child */

/** What the servers that ended said last, each once. @param {readonly Child[]} children */
export async function reasonOf(children) {
  await sleep(LATE_FAULTS_MS);
  const ended = children.filter((child) => !child.running);
  const texts = [];
  for (const child of ended) {
    texts.push(
      `The ${child.name} ${describeExit(await child.exited)}:\n${readable(child.lastLines(SHOWN_LINES))}`,
    );
  }
  return new StopError(texts.join('\n\n'));
}

/**
 * Waits until the API says that all of it can serve.
 * @param {string} url  of the API
 * @param {AbortSignal} signal  nobody waits any more
 */
export async function untilReady(url, signal) {
  const deadline = Date.now() + READY_MS;
  while (Date.now() < deadline && !signal.aborted) {
    const response = await fetch(`${url}/health/ready`, { signal: AbortSignal.timeout(5_000) }).catch(
      () => undefined,
    );
    await response?.body?.cancel();
    if (response?.status === 200) return;
    await sleep(100);
  }
  if (signal.aborted) return;
  throw new StopError('The servers did not get ready within 10 minutes. Their logs lie in DATA_DIR/logs.');
}
