import type { Parity } from '#contracts/parity.js';
import type { ParityTolerance } from './parity-tolerance.js';

/** A text's log-probabilities: entry i belongs to tokens[i + 1], given all before. */
export interface ScoredTokens {
  readonly tokens: readonly number[];
  readonly logprobs: readonly number[];
  /** The likeliest token at each position; may be left out. */
  readonly best?: readonly number[];
}

export interface ComparedPaths {
  readonly served: readonly ScoredTokens[];
  readonly merged: readonly ScoredTokens[];
  /** The base alone on the same prompts, as far as they go. */
  readonly base: readonly ScoredTokens[];
}

export function compareScores(
  { served, merged, base }: ComparedPaths,
  tolerance: ParityTolerance,
): Omit<Parity, 'path' | 'failure'> {
  const differences = served.flatMap((run, i) => differencesOf(run, merged[i]));
  const changes = base.flatMap((run, i) => differencesOf(run, served[i]));
  const matches = served.flatMap((run, i) => (run.best ?? []).map((id, at) => id === merged[i]?.best?.[at]));
  const largest = largestOf(differences);
  const mean = largest === null ? null : sum(differences) / differences.length;
  return {
    passed: largest !== null && largest <= tolerance.max && mean !== null && mean <= tolerance.mean,
    max_abs_diff: largest,
    mean_abs_diff: mean,
    tolerance: { max_abs_diff: tolerance.max, mean_abs_diff: tolerance.mean },
    token_agreement: matches.length === 0 ? 0 : matches.filter(Boolean).length / matches.length,
    effect: largestOf(changes),
    prompts: served.length,
    tokens: differences.length,
  };
}

/** One that is missing or not finite on either side is NaN. */
function differencesOf(run: ScoredTokens, other: ScoredTokens | undefined): number[] {
  return run.logprobs.map((logprob, i) => Math.abs(logprob - (other?.logprobs[i] ?? Number.NaN)));
}

/** Null when there is none, or one is no finite number. */
function largestOf(values: readonly number[]): number | null {
  const largest = Math.max(...values); // NaN stays NaN
  return Number.isFinite(largest) ? largest : null;
}

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
