import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { TopAdapters } from './top-adapters.js';

const digest = (n: number): string => n.toString(16).padStart(12, '0').padEnd(64, 'f');

describe('the adapters with the most traffic', () => {
  it('names the base, the first adapters while there is room, and the busiest when there is not', () => {
    const gone: string[] = [];
    const top = new TopAdapters(2, (name) => gone.push(name));
    expect(top.nameOf(undefined, 1)).toBe('base');
    expect(top.nameOf(digest(1), 10)).toBe(digest(1).slice(0, 12));
    expect(top.nameOf(digest(2), 4)).toBe(digest(2).slice(0, 12));
    expect(top.nameOf(digest(3), 5)).toBe('other');
    expect(top.nameOf(digest(3), 5)).toBe(digest(3).slice(0, 12));
    expect(gone).toEqual([digest(2).slice(0, 12)]);
    top.forget(digest(3));
    expect(gone).toHaveLength(2);
  });

  it('never shows more names than its bound, and finds the one that has most of the traffic', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 500 }), { minLength: 200, maxLength: 400 }),
        (others) => {
          const shown = new Set<string>();
          const top = new TopAdapters(5, (name) => shown.delete(name));
          let last = '';
          for (const other of others) {
            for (const n of [other, 0]) {
              last = top.nameOf(digest(n), 1);
              if (last !== 'other') shown.add(last);
              expect(shown.size).toBeLessThanOrEqual(5);
            }
          }
          expect(last).toBe(digest(0).slice(0, 12));
        },
      ),
      { numRuns: 30 },
    );
  });
});
