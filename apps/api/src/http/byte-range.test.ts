import { describe, expect, it } from 'vitest';
import { readRange } from './byte-range.js';

const read = (range: string | undefined, ifRange?: string) =>
  readRange({ range, 'if-range': ifRange }, 10, '"a"');

describe('readRange', () => {
  it.each([
    ['bytes=0-3', { begin: 0, end: 4 }],
    ['bytes=4-', { begin: 4, end: 10 }],
    ['bytes=4-99', { begin: 4, end: 10 }],
    ['bytes=-3', { begin: 7, end: 10 }],
    ['bytes=-99', { begin: 0, end: 10 }],
    ['bytes=9-9', { begin: 9, end: 10 }],
    ['bytes=10-', 'unsatisfiable'],
    ['bytes=-0', 'unsatisfiable'],
    ['bytes=5-4', 'whole'],
    ['bytes=0-1,3-4', 'whole'],
    ['lines=0-1', 'whole'],
    ['bytes=-', 'whole'],
    [undefined, 'whole'],
  ])('understands %s', (range, wanted) => {
    expect(read(range)).toEqual(wanted);
  });

  it('gives the whole when the bytes are no longer those of which a part is known', () => {
    expect(read('bytes=4-', '"a"')).toEqual({ begin: 4, end: 10 });
    expect(read('bytes=4-', '"b"')).toBe('whole');
  });

  it('never finds a satisfiable range in nothing', () => {
    expect(readRange({ range: 'bytes=0-' }, 0, '"a"')).toBe('unsatisfiable');
  });
});
