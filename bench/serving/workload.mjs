import { seededRandom } from '../statistics.mjs';

/** Which adapter each request asks for. */
export const POPULARITIES = /** @type {const} */ (['none', 'identical', 'uniform', 'zipf', 'distinct']);
/** @typedef {(typeof POPULARITIES)[number]} Popularity */
const ZIPF_EXPONENT = 1.5;

/**
 * @typedef {object} BenchRequest
 * @property {number[]} prompt  token ids
 * @property {number} newTokens
 * @property {number | undefined} adapter  index; undefined: the base model
 * @property {Readonly<Record<string, unknown>>} [fields]  of the request besides
 */

/**
 * The adapter of each of `count` requests, as indices below `adapters` (undefined: base only).
 * @param {Popularity} popularity
 * @param {number} count
 * @param {number} adapters  how many there are
 * @param {() => number} random
 * @returns {(number | undefined)[]}
 */
export function chooseAdapters(popularity, count, adapters, random) {
  if (popularity === 'none') return Array.from({ length: count }, () => undefined);
  if (adapters < 1) throw new Error(`popularity ${popularity} needs adapters`);
  if (popularity === 'identical') return Array.from({ length: count }, () => 0);
  if (popularity === 'distinct') return Array.from({ length: count }, (_, i) => i % adapters);
  if (popularity === 'uniform') {
    const used = Math.min(adapters, Math.ceil(Math.sqrt(count)));
    return Array.from({ length: count }, (_, i) => i % used);
  }
  const draw = zipfDraw(adapters, ZIPF_EXPONENT);
  return Array.from({ length: count }, () => draw(random()));
}

/** From a uniform number to a rank, 0 the most popular. @param {number} count @param {number} exponent */
export function zipfDraw(count, exponent) {
  /** @type {number[]} */
  const cumulative = [];
  let total = 0;
  for (let rank = 1; rank <= count; rank++) cumulative.push((total += rank ** -exponent));
  return (/** @type {number} */ uniform) => {
    const rank = cumulative.findIndex((share) => uniform * total < share);
    return rank < 0 ? count - 1 : rank;
  };
}

/**
 * Arrival times of a Poisson process: exponential gaps.
 * @param {number} perSecond
 * @param {number} seconds
 * @param {() => number} random
 * @returns {number[]} ms from the start, ascending, all before the end
 */
export function poissonArrivals(perSecond, seconds, random) {
  const arrivals = [];
  for (let at_s = 0; ; ) {
    at_s += -Math.log(1 - random()) / perSecond;
    if (at_s >= seconds) return arrivals;
    arrivals.push(at_s * 1000);
  }
}

/**
 * Requests with prompts of random tokens. Every seed gives other prompts, so that no prefix is found again by accident.
 * @param {object} wanted
 * @param {number} wanted.seed
 * @param {number} wanted.count
 * @param {number} wanted.promptTokens
 * @param {number} wanted.newTokens
 * @param {number} wanted.vocabulary
 * @param {Popularity} wanted.popularity
 * @param {number} wanted.adapters
 * @returns {BenchRequest[]}
 */
export function makeRequests({ seed, count, promptTokens, newTokens, vocabulary, popularity, adapters }) {
  const random = seededRandom(seed);
  const ordinary = vocabulary - 2; // the last two are BOS and EOS
  return chooseAdapters(popularity, count, adapters, random).map((adapter) => ({
    prompt: Array.from({ length: promptTokens }, () => Math.floor(random() * ordinary)),
    newTokens,
    adapter,
  }));
}
