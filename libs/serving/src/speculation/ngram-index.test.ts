import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { NgramIndex } from './ngram-index.js';

const draft = (tokens: number[], match: number, most: number): number[] =>
  new NgramIndex(match).draft(Int32Array.from(tokens), most);

describe('drafts from the own text', () => {
  it('continues as the text went on where its end stood last', () => {
    expect(draft([1, 2, 3, 4, 5, 1, 2, 3], 3, 2)).toEqual([4, 5]);
    expect(draft([1, 2, 9, 1, 2, 8, 1, 2], 2, 1)).toEqual([8]); // the latest place counts
  });

  it('goes on repeating where the text itself ends', () => {
    expect(draft([5, 6, 5, 6], 2, 5)).toEqual([5, 6, 5, 6, 5]);
    expect(draft([4, 4, 4], 2, 3)).toEqual([4, 4, 4]);
  });

  it('drafts nothing without a match or without room', () => {
    expect(draft([1, 2, 3, 4], 2, 5)).toEqual([]);
    expect(draft([1, 2, 1, 2], 2, 0)).toEqual([]);
    expect(draft([1, 2], 2, 5)).toEqual([]);
  });

  it('finds what a plain search finds, however the text grew', () => {
    const text = fc.array(fc.integer({ min: 0, max: 3 }), { minLength: 1, maxLength: 60 });
    fc.assert(
      fc.property(text, fc.integer({ min: 1, max: 4 }), (tokens, match) => {
        const index = new NgramIndex(match);
        for (let length = 1; length <= tokens.length; length += 1 + (length % 3)) {
          const known = tokens.slice(0, length);
          const end = known.slice(-match).join();
          let from: number | undefined;
          for (let at = match; at < length; at++) if (known.slice(at - match, at).join() === end) from = at;
          const wanted = from === undefined || length <= match ? [] : [known[from]];
          expect(index.draft(Int32Array.from(known), 1)).toEqual(wanted);
        }
      }),
    );
  });
});
