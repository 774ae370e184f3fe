/** Seconds before each attempt, as Standard Webhooks' reference implementation spaces them: the last after 27.6 hours. */
export const RETRY_SCHEDULE_S: readonly number[] = [0, 5, 300, 1800, 7200, 18_000, 36_000, 36_000];

const JITTER = 0.1;
const MAX_ASKED_S = 24 * 3600;

export interface FailedTry {
  /** Tries so far, the failed one included. */
  readonly tries: number;
  /** What the receiver asked for by `retry-after`. */
  readonly asked_s?: number | undefined;
}

/** Seconds until the next attempt; undefined: that was the last. `random` is from [0, 1). */
export function nextTry_s(
  { tries, asked_s = 0 }: FailedTry,
  schedule_s: readonly number[],
  random: number,
): number | undefined {
  const delay_s = schedule_s[tries];
  if (delay_s === undefined) return undefined;
  // Later rather than sooner, so that a crowd of deliveries that failed together comes back apart.
  return Math.max(delay_s, Math.min(asked_s, MAX_ASKED_S)) * (1 + JITTER * random);
}
