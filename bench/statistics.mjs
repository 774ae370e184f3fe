/** @param {readonly number[]} values @param {number} share  0 to 1; linear between the two nearest ranks @returns {number | undefined} */
export function quantile(values, share) {
  if (values.length === 0) return undefined;
  const sorted = [...values].sort((a, b) => a - b);
  const place = share * (sorted.length - 1);
  const below = Math.floor(place);
  const low = /** @type {number} */ (sorted[below]);
  const high = sorted[below + 1] ?? low;
  return low + (high - low) * (place - below);
}

/** @param {readonly number[]} values */
export const median = (values) => quantile(values, 0.5);

/** @param {readonly number[]} values */
export const sum = (values) => values.reduce((total, value) => total + value, 0);

/** @param {readonly number[]} values @returns {{ p50: number, p95: number, p99: number, max: number } | undefined} */
export function summary(values) {
  const at = (/** @type {number} */ share) => /** @type {number} */ (quantile(values, share));
  return values.length === 0 ? undefined : { p50: at(0.5), p95: at(0.95), p99: at(0.99), max: at(1) };
}

/** @typedef {{ median: number, least: number, most: number, rounds: number }} Spread */

/** What repeated runs of one thing gave. @param {readonly number[]} values @returns {Spread} */
export function spread(values) {
  const middle = median(values);
  if (middle === undefined) throw new Error('no rounds');
  return { median: middle, least: Math.min(...values), most: Math.max(...values), rounds: values.length };
}

/**
 * Median of the ratios of neighbours in time: what slows the machine slows both, and cancels.
 * @param {readonly number[]} ours
 * @param {readonly number[]} theirs  of the same rounds
 */
export function pairedRatio(ours, theirs) {
  return spread(ours.map((value, round) => value / /** @type {number} */ (theirs[round])));
}

/** A small seeded generator (mulberry32): the same numbers on every machine. @param {number} seed @returns {() => number} in [0, 1) */
export function seededRandom(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}
