import { describe, expect, it } from 'vitest';
import { addHistogram, addTime, countOf, type Histogram, quantile } from './histogram.js';

const of = (times: readonly number[]): Histogram => {
  const histogram: Histogram = [];
  for (const time_ms of times) addTime(histogram, time_ms);
  return histogram;
};

describe('a histogram of times', () => {
  it.each([0.05, 0.4, 3, 27, 250, 1_999, 44_000, 600_000])('tells %s ms to within its bucket', (time_ms) => {
    const told = quantile(of([time_ms, time_ms, time_ms]), 0.5) ?? 0;
    expect(told / time_ms).toBeGreaterThan(1 / 1.26);
    expect(told / time_ms).toBeLessThan(1.26);
  });

  it('has the percentiles of what was added, over sums too', () => {
    const times = Array.from({ length: 1000 }, (_, index) => index + 1);
    const sum: Histogram = [];
    addHistogram(sum, of(times.slice(0, 300)));
    addHistogram(sum, of(times.slice(300)));
    expect(countOf(sum)).toBe(1000);
    expect(sum).toEqual(of(times));
    expect(quantile(sum, 0.5)).toBeCloseTo(500, -2);
    expect(Math.abs((quantile(sum, 0.95) ?? 0) / 950 - 1)).toBeLessThan(0.1);
  });

  it('counts what is out of all bounds at its ends, and knows nothing of nothing', () => {
    expect(quantile(of([0, -1, Number.NaN]), 0.5)).toBeLessThanOrEqual(0.1);
    expect(quantile(of([1e12]), 0.5)).toBeGreaterThan(7_900_000);
    expect(quantile([], 0.5)).toBeUndefined();
  });
});
