import { sum, summary } from '../statistics.mjs';

/**
 * What the client saw of one request, in ms from the start of the workload.
 * @typedef {object} RequestOutcome
 * @property {number} arrived_ms
 * @property {readonly number[]} times_ms  one for each token
 * @property {string | undefined} fault  HTTP status, "aborted", ...; undefined: it ended well
 */
/** @typedef {{ ttft_ms: number, tpot_ms: number }} Limits */
export const DEFAULT_LIMITS = { ttft_ms: 1000, tpot_ms: 150 };

/** @param {RequestOutcome} outcome */
export function ttftOf({ arrived_ms, times_ms }) {
  return /** @type {number} */ (times_ms[0]) - arrived_ms;
}

/** Undefined for fewer than two tokens. @param {RequestOutcome} outcome */
export function tpotOf({ times_ms }) {
  const [first] = times_ms;
  const last = times_ms.at(-1);
  if (times_ms.length < 2 || first === undefined || last === undefined) return undefined;
  return (last - first) / (times_ms.length - 1);
}

/** @param {RequestOutcome} outcome @param {Limits} limits */
export function metLimits(outcome, limits) {
  return (
    outcome.fault === undefined &&
    outcome.times_ms.length > 0 &&
    ttftOf(outcome) <= limits.ttft_ms &&
    (tpotOf(outcome) ?? 0) <= limits.tpot_ms
  );
}

/**
 * The figures of one run. Throughput counts tokens of requests that ended well, over the time until the last of them.
 * @param {readonly RequestOutcome[]} outcomes
 * @param {Limits} [limits]
 */
export function figuresOf(outcomes, limits = DEFAULT_LIMITS) {
  const good = outcomes.filter(({ fault, times_ms }) => fault === undefined && times_ms.length > 0);
  const start_ms = Math.min(...outcomes.map(({ arrived_ms }) => arrived_ms));
  const end_ms = Math.max(start_ms, ...good.map(({ times_ms }) => /** @type {number} */ (times_ms.at(-1))));
  const seconds = (end_ms - start_ms) / 1000;
  const tokens = (/** @type {readonly RequestOutcome[]} */ some) =>
    sum(some.map(({ times_ms }) => times_ms.length));
  const met = good.filter((outcome) => metLimits(outcome, limits));
  const perSecond = (/** @type {number} */ count) => (seconds > 0 ? count / seconds : 0);
  return {
    requests: outcomes.length,
    faults: countFaults(outcomes),
    seconds,
    tokensPerSecond: perSecond(tokens(good)),
    goodTokensPerSecond: perSecond(tokens(met)),
    metShare: met.length / outcomes.length,
    decodeTokensPerSecond: decodeRate(good),
    laterTokensPerSecond: laterRate(good),
    ttft_ms: summary(good.map(ttftOf)),
    tpot_ms: summary(good.flatMap((outcome) => tpotOf(outcome) ?? [])),
  };
}
/** @typedef {ReturnType<typeof figuresOf>} Figures */

/** @param {readonly RequestOutcome[]} outcomes @returns {Record<string, number>} */
function countFaults(outcomes) {
  /** @type {Record<string, number>} */
  const faults = {};
  for (const { fault } of outcomes) if (fault !== undefined) faults[fault] = (faults[fault] ?? 0) + 1;
  return faults;
}

/** Tokens per second while all requests generate: from the last first token to the first last one. @param {readonly RequestOutcome[]} outcomes */
function decodeRate(outcomes) {
  if (outcomes.length === 0) return undefined;
  const from = Math.max(...outcomes.map(({ times_ms }) => /** @type {number} */ (times_ms[0])));
  const to = Math.min(...outcomes.map(({ times_ms }) => /** @type {number} */ (times_ms.at(-1))));
  if (to <= from) return undefined;
  const count = sum(outcomes.map(({ times_ms }) => times_ms.filter((t) => t > from && t <= to).length));
  return (count / (to - from)) * 1000;
}

/** Tokens after each request's first, per second from the earliest first one to the last: pure decode where prompts are short. @param {readonly RequestOutcome[]} outcomes */
function laterRate(outcomes) {
  const from = Math.min(...outcomes.map(({ times_ms }) => /** @type {number} */ (times_ms[0])));
  const to = Math.max(...outcomes.map(({ times_ms }) => /** @type {number} */ (times_ms.at(-1))));
  const count = sum(outcomes.map(({ times_ms }) => times_ms.length - 1));
  return to > from ? (count / (to - from)) * 1000 : undefined;
}
