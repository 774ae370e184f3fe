import type { ShadowFigures } from '#adapters/aliases/alias-shadows.service.js';
import type { RequestMeter } from '../meter/request-meter.js';

/** One answer's tokens and how the candidate answered the same. */
export interface AnswerPair {
  readonly served: readonly number[];
  readonly candidate: readonly number[];
}

/** Index of the first token that differs; undefined when both are the same to their ends. */
export function firstDivergence({ served, candidate }: AnswerPair): number | undefined {
  const at = served.findIndex((token, index) => candidate[index] !== token);
  if (at >= 0) return at;
  return candidate.length > served.length ? served.length : undefined;
}

/** What one request adds to the figures of a shadow. */
export function compareAnswers(
  pairs: readonly AnswerPair[],
  served: Pick<RequestMeter, 'ttft_ms' | 'tpot'>,
  candidate: Pick<RequestMeter, 'ttft_ms' | 'tpot' | 'usage'>,
): ShadowFigures {
  const divergences = pairs.map(firstDivergence);
  const diverged = divergences.filter((at) => at !== undefined);
  const tokens = pairs.reduce((sum, pair) => sum + pair.served.length, 0);
  const matched = pairs.reduce(
    (sum, pair, index) => sum + Math.min(divergences[index] ?? pair.served.length, pair.served.length),
    0,
  );
  const { usage } = candidate;
  return {
    answers: pairs.length,
    exact: pairs.length - diverged.length,
    matched_tokens: matched,
    served_tokens: tokens,
    diverged: diverged.length,
    divergence_sum: diverged.reduce((sum, at) => sum + at, 0),
    served_ttft_ms: served.ttft_ms ?? 0,
    served_ttfts: served.ttft_ms === undefined ? 0 : 1,
    served_tpot_ms: served.tpot.sum_ms,
    served_tpots: served.tpot.sequences,
    ttft_ms: candidate.ttft_ms ?? 0,
    ttfts: candidate.ttft_ms === undefined ? 0 : 1,
    tpot_ms: candidate.tpot.sum_ms,
    tpots: candidate.tpot.sequences,
    prompt_tokens: usage.prompt_tokens,
    cached_tokens: usage.prompt_tokens_details.cached_tokens,
    completion_tokens: usage.completion_tokens,
  };
}
