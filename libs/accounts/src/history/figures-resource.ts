import type { FiguresResource, Times } from '#contracts/history-api.js';
import type { Figures } from './figures.js';
import { countOf, quantile } from './histogram.js';

/** As the API shows them. */
export function figuresResource(figures: Figures): FiguresResource {
  const { requests, errors, error_codes, prompt_tokens, cached_tokens, completion_tokens } = figures;
  return {
    requests,
    errors,
    error_codes,
    prompt_tokens,
    cached_tokens,
    completion_tokens,
    ttft: times(figures.ttft_ms, figures.ttft),
    tpot: times(figures.tpot_ms, figures.tpot),
    queue: times(figures.queue_ms, figures.queue),
    goodput: {
      requests: figures.good,
      tokens: figures.good_tokens,
      share: figures.judged === 0 ? null : figures.good / figures.judged,
    },
  };
}

function times(sum_ms: number, histogram: readonly number[]): Times {
  const count = countOf(histogram);
  return {
    count,
    mean_ms: count === 0 ? null : sum_ms / count,
    p50_ms: quantile(histogram, 0.5) ?? null,
    p95_ms: quantile(histogram, 0.95) ?? null,
    p99_ms: quantile(histogram, 0.99) ?? null,
  };
}
