import { describe, expect, it } from 'vitest';
import type { EvaluationCase } from '#contracts/promotion.js';
import { judge, verdictOf } from './evaluation.js';

const passes = (match: EvaluationCase['match'], expected: string, text: string): boolean =>
  judge(0, { prompt: 'x', match, expected }, { text }).passed;

describe('an answer', () => {
  it.each([
    ['exact', 'yes', ' yes\n', true],
    ['exact', 'yes', 'Yes', false],
    ['contains', 'es', 'yes', true],
    ['contains', 'ES', 'yes', false],
    ['regex', '^[0-9]{3}$', '123', true],
    ['regex', '[0-9]{4}', '123', false],
    ['regex', '(?i:x)', 'x', false],
  ] as const)('by %s of %j: %j is %s', (match, expected, text, passed) => {
    expect(passes(match, expected, text)).toBe(passed);
  });

  it('that a pattern would think about for ever does not pass, and says so', () => {
    const endless = { prompt: 'x', match: 'regex' as const, expected: '^(a+)+$' };
    const result = judge(0, endless, { text: `${'a'.repeat(40)}b` });
    expect(result).toMatchObject({ passed: false, error: expect.stringContaining('100 ms') as string });
  });

  it('that did not come does not pass, and says why', () => {
    const result = judge(3, { prompt: 'x', match: 'exact', expected: '' }, { error: 'too long' });
    expect(result).toMatchObject({ index: 3, passed: false, answer: null, error: 'too long' });
  });
});

describe('a verdict', () => {
  const results = [true, true, true, false].map((passed, index) => ({
    ...judge(index, { prompt: 'x', match: 'exact', expected: 'a' }, { text: passed ? 'a' : 'b' }),
  }));
  const policy = { prompts: [], max_tokens: 1 };

  it('holds when the share of passed prompts is high enough, and tells the figures', () => {
    expect(verdictOf({ ...policy, min_score: 0.75 }, results)).toEqual({
      score: 0.75,
      holds: true,
      reason: '3 of 4 prompts passed: score 0.75, at least 0.75',
    });
    expect(verdictOf({ ...policy, min_score: 0.8 }, results)).toMatchObject({
      holds: false,
      reason: '3 of 4 prompts passed: score 0.75 is below 0.8',
    });
  });
});
