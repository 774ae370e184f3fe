import { describe, expect, it } from 'vitest';
import { isRetryableStatus, parseRetryAfter, pauseBeforeRetry } from './retry-rule.js';

const pause = (fruitless: number, retryAfter_ms?: number, chance = 0.5): number =>
  pauseBeforeRetry({ fruitless, retryAfter_ms }, chance);

describe('the pause before another attempt', () => {
  it('doubles with each attempt that brought nothing, up to five minutes', () => {
    expect([1, 2, 3, 4].map((fruitless) => pause(fruitless))).toEqual([750, 1500, 3000, 6000]);
    expect(pause(100)).toBe(225_000);
  });

  it('is spread by chance over the upper half', () => {
    expect([pause(4, undefined, 0), pause(4, undefined, 0.999_999)]).toEqual([4000, 8000]);
  });

  it('is never shorter than the source asked for, nor longer than an hour for its sake', () => {
    expect(pause(1, 20_000)).toBe(20_000);
    expect(pause(8, 1)).toBe(96_000);
    expect(pause(1, 10 ** 9)).toBe(3600_000);
  });
});

describe('Retry-After', () => {
  it.each([
    ['120', 120_000],
    [new Date(90_000).toUTCString(), 80_000],
    [new Date(0).toUTCString(), 0],
    ['soon', undefined],
    [undefined, undefined],
  ])('%s', (header, expected) => {
    expect(parseRetryAfter(header, 10_000)).toBe(expected);
  });
});

describe('isRetryableStatus', () => {
  it('takes what may pass, and nothing that will not', () => {
    expect([408, 425, 429, 500, 502, 503, 504].every(isRetryableStatus)).toBe(true);
    expect([400, 401, 403, 404, 410, 451, 501].some(isRetryableStatus)).toBe(false);
  });
});
