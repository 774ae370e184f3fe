import { describe, expect, it } from 'vitest';
import { compareAnswers, firstDivergence } from './shadow-comparison.js';

const at = (served: number[], candidate: number[]) => firstDivergence({ served, candidate });
const times = (ttft_ms: number | undefined, sum_ms: number, sequences: number) => ({
  ttft_ms,
  tpot: { sequences, sum_ms },
  usage: {
    prompt_tokens: 5,
    completion_tokens: 7,
    total_tokens: 12,
    prompt_tokens_details: { cached_tokens: 2 },
  },
});

describe('the first divergence', () => {
  it('is where the tokens differ, or where one answer ends before the other', () => {
    expect(at([1, 2, 3], [1, 2, 3])).toBeUndefined();
    expect(at([], [])).toBeUndefined();
    expect(at([1, 2, 3], [1, 9, 3])).toBe(1);
    expect(at([1, 2, 3], [1, 2])).toBe(2);
    expect(at([1, 2], [1, 2, 3])).toBe(2);
    expect(at([], [1])).toBe(0);
  });
});

describe('a comparison', () => {
  it('counts answers, the tokens before they part, and both latencies', () => {
    const pairs = [
      { served: [1, 2, 3], candidate: [1, 2, 3] },
      { served: [1, 2, 3], candidate: [1, 9] },
      { served: [1], candidate: [1, 2] },
    ];
    expect(compareAnswers(pairs, times(3, 8, 2), times(undefined, 9, 3))).toEqual({
      answers: 3,
      exact: 1,
      matched_tokens: 5,
      served_tokens: 7,
      diverged: 2,
      divergence_sum: 2,
      served_ttft_ms: 3,
      served_ttfts: 1,
      served_tpot_ms: 8,
      served_tpots: 2,
      ttft_ms: 0,
      ttfts: 0,
      tpot_ms: 9,
      tpots: 3,
      prompt_tokens: 5,
      cached_tokens: 2,
      completion_tokens: 7,
    });
  });
});
