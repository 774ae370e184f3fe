import { describe, expect, it } from 'vitest';
import { decodeFloats, encodeFloats, roundedTo } from './floats.js';

const bytesOf = (halves: Uint16Array) => new Uint8Array(halves.buffer, halves.byteOffset, halves.byteLength);
const ALL = Uint16Array.from({ length: 65_536 }, (_, at) => at);

describe('floats', () => {
  it.each(['F16', 'BF16'] as const)('keeps every %s number', (dtype) => {
    const values = decodeFloats(dtype, bytesOf(ALL));
    const again = new Uint16Array(encodeFloats(dtype, values).slice().buffer);
    const changed = ALL.filter((half, at) => again[at] !== half && !Number.isNaN(values[at]));
    expect([...changed]).toEqual([]);
    expect(Number.isNaN(roundedTo(dtype, Float32Array.of(Number.NaN))[0])).toBe(true);
  });

  it('rounds to the nearest, ties to even, and to infinity beyond', () => {
    const halves = [1 + 2 ** -11, 1 + 3 * 2 ** -11, 2 ** -25, 3 * 2 ** -25, 65519.99, 65520, -1e10];
    expect([...roundedTo('F16', Float32Array.from(halves))]).toEqual([
      1,
      1 + 2 ** -9,
      0,
      2 ** -23,
      65504,
      Number.POSITIVE_INFINITY,
      Number.NEGATIVE_INFINITY,
    ]);
    const brains = [1 + 2 ** -8, 1 + 3 * 2 ** -8, 3.4e38];
    expect([...roundedTo('BF16', Float32Array.from(brains))]).toEqual([
      1,
      1 + 2 ** -6,
      Number.POSITIVE_INFINITY,
    ]);
  });
});
