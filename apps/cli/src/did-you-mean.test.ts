import { describe, expect, it } from 'vitest';
import { didYouMean } from './did-you-mean.js';

describe('did you mean', () => {
  it.each([
    ['adpaters list', 'adapters list'],
    ['statsu', 'status'],
    ['Logn', 'login'],
    ['--jsn', '--json'],
  ])('takes %s for %s', (typed, meant) => {
    expect(didYouMean(typed, ['adapters list', 'status', 'login', 'logout', '--json'])).toBe(meant);
  });

  it('guesses nothing of what is far from everything', () => {
    expect(didYouMean('frobnicate', ['status', 'login'])).toBeUndefined();
  });
});
