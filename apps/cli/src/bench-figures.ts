/** What one streamed request was like; times since its start. */
export interface Sample {
  readonly ttft_ms: number;
  readonly total_ms: number;
  readonly completionTokens: number;
}

export interface Spread {
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
}

export interface BenchFigures {
  readonly requests: number;
  readonly errors: number;
  readonly seconds: number;
  readonly requests_per_second: number;
  readonly completion_tokens_per_second: number;
  readonly completion_tokens: number;
  /** Arrival to first token. */
  readonly ttft_ms: Spread | null;
  /** (last token - first token) / (tokens - 1); null where no answer had two. */
  readonly tpot_ms: Spread | null;
}

export function benchFigures(samples: readonly Sample[], errors: number, seconds: number): BenchFigures {
  const tokens = samples.reduce((sum, { completionTokens }) => sum + completionTokens, 0);
  return {
    requests: samples.length,
    errors,
    seconds,
    requests_per_second: samples.length / seconds,
    completion_tokens_per_second: tokens / seconds,
    completion_tokens: tokens,
    ttft_ms: spreadOf(samples.map(({ ttft_ms }) => ttft_ms)),
    tpot_ms: spreadOf(
      samples
        .filter(({ completionTokens }) => completionTokens > 1)
        .map(({ ttft_ms, total_ms, completionTokens }) => (total_ms - ttft_ms) / (completionTokens - 1)),
    ),
  };
}

/** Nearest rank: the smallest value that so many of all do not exceed. */
export function spreadOf(values: readonly number[]): Spread | null {
  if (values.length === 0) return null;
  const sorted = values.toSorted((a, b) => a - b);
  const at = (share: number): number => sorted[Math.ceil(share * sorted.length) - 1] ?? Number.NaN;
  return { p50: at(0.5), p90: at(0.9), p99: at(0.99) };
}
