const FIRST_MS = 250;
const LONGEST_MS = 30_000;
/** A process that ran this long has recovered from whatever ended it before. */
const HEALTHY_MS = 60_000;

/**
 * How long to wait before a process that ended is started again: at once-ish, then doubling.
 * @param {number} failures  how many times in a row it ended early before this end
 */
export function restartDelay_ms(failures) {
  return Math.min(LONGEST_MS, FIRST_MS * 2 ** failures);
}

/**
 * The count to go on with after a process ran for `ran_ms`.
 * @param {number} failures
 * @param {number} ran_ms
 */
export function failuresAfter(failures, ran_ms) {
  return ran_ms >= HEALTHY_MS ? 0 : failures + 1;
}
