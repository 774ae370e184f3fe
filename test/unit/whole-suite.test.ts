import { describe, expect, it } from 'vitest';
import { sampled, WHOLE_SUITE } from '../support/whole-suite.js';

describe('the short form of a long test', () => {
  it.skipIf(WHOLE_SUITE)('takes cases from all over, the first and the last among them', () => {
    expect(sampled([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10], 3)).toEqual([0, 5, 10]);
  });

  it('leaves a short list whole', () => {
    expect(sampled(['a', 'b'], 3)).toEqual(['a', 'b']);
  });
});
