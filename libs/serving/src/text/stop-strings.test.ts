import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { StopStrings } from './stop-strings.js';

function run(stops: readonly string[], pieces: readonly string[], includeStop = false) {
  const strings = new StopStrings(stops, includeStop);
  const shown: string[] = [];
  for (const piece of pieces) {
    const { text, matched } = strings.push(piece);
    shown.push(text);
    if (matched !== undefined) return { shown, matched };
  }
  shown.push(strings.flush());
  return { shown, matched: undefined };
}

describe('stop strings', () => {
  it('holds back what may become a stop string and shows it when it does not', () => {
    expect(run(['END'], ['a', 'E', 'N', 'x', 'E']).shown).toEqual(['a', '', '', 'ENx', '', 'E']);
  });

  it('finds a stop string across pieces and shows nothing of it', () => {
    expect(run(['\n\nQ:'], ['answer', '\n', '\nQ', ': more'])).toEqual({
      shown: ['answer', '', '', ''],
      matched: '\n\nQ:',
    });
  });

  it('keeps the stop string when asked to, and nothing behind it', () => {
    expect(run(['END'], ['aEN', 'Dzzz'], true)).toEqual({ shown: ['a', 'END'], matched: 'END' });
  });

  it('gives the same text however it was cut', () => {
    const letters = fc.string({ unit: fc.constantFrom('a', 'b', 'c'), maxLength: 30 });
    const stops = fc.array(fc.string({ unit: fc.constantFrom('a', 'b', 'c'), minLength: 1, maxLength: 4 }), {
      maxLength: 3,
    });
    fc.assert(
      fc.property(
        letters,
        stops,
        fc.array(fc.integer({ min: 1, max: 5 })),
        fc.boolean(),
        (text, list, cuts, keep) => {
          const pieces: string[] = [];
          let rest = text;
          for (const cut of cuts) {
            pieces.push(rest.slice(0, cut));
            rest = rest.slice(cut);
          }
          pieces.push(rest);
          const cutUp = run(list, pieces, keep);
          const byLetter = run(list, [...text], keep);
          expect(cutUp.shown.join('')).toBe(byLetter.shown.join(''));
          expect(cutUp.matched).toBe(byLetter.matched);
          const shown = cutUp.shown.join('');
          expect(text.startsWith(shown)).toBe(true);
          const shows = list.some((stop) => shown.includes(stop));
          expect(shows).toBe(keep && cutUp.matched !== undefined);
        },
      ),
      { numRuns: 500 },
    );
  });
});
