import { setTimeout as sleep } from 'node:timers/promises';

const DAY_MS = 86_400_000;
/** More than a file of tests takes on a slow machine. */
const MARGIN_MS = 120_000;

/** For tests that speak of today: where midnight (UTC) is near they begin after it. */
export async function passMidnight(): Promise<void> {
  const left_ms = DAY_MS - (Date.now() % DAY_MS);
  if (left_ms < MARGIN_MS) await sleep(left_ms + 1_000);
}
export const PASS_MIDNIGHT_MS = MARGIN_MS + 30_000;
