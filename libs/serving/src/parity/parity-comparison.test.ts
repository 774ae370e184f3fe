import { describe, expect, it } from 'vitest';
import { compareScores, type ScoredTokens } from './parity-comparison.js';

const tolerance = { max: 0.1, mean: 0.05 };
const run = (logprobs: number[], best: number[] = []): ScoredTokens => ({
  tokens: [0, ...logprobs.map((_, i) => i)],
  logprobs,
  best,
});
const compare = (served: ScoredTokens, merged: ScoredTokens, base = run([])) =>
  compareScores({ served: [served], merged: [merged], base: [base] }, tolerance);

describe('a comparison of two paths', () => {
  it('passes while the largest and the mean difference stay in bounds', () => {
    expect(compare(run([-1, -2]), run([-1.08, -2]))).toMatchObject({ passed: true, tokens: 2, prompts: 1 });
    expect(compare(run([-1, -2]), run([-1.2, -2])).passed).toBe(false);
    expect(compare(run([-1, -2]), run([-1.08, -2.08])).passed).toBe(false);
  });

  it('never passes without numbers on both sides', () => {
    for (const merged of [run([Number.NaN, -2]), run([-1]), run([-1, Number.NEGATIVE_INFINITY])]) {
      expect(compare(run([-1, -2]), merged)).toMatchObject({ passed: false, max_abs_diff: null });
    }
    expect(compareScores({ served: [], merged: [], base: [] }, tolerance).passed).toBe(false);
  });

  it('counts the positions that agree on the likeliest token', () => {
    const { token_agreement } = compare(
      run([-1, -1, -1, -1], [5, 6, 7, 8]),
      run([-1, -1, -1, -1], [5, 6, 7, 9]),
    );
    expect(token_agreement).toBe(0.75);
  });

  it('says how far the adapter moves the base, as far as the prompts go', () => {
    expect(compare(run([-1, -2, -3]), run([-1, -2, -3]), run([-1.5, -4])).effect).toBe(2);
  });
});
