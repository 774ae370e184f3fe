import { describe, expect, it } from 'vitest';
import { historyRange, startOf } from './history-range.js';

const NOW_MS = Date.parse('2026-03-10T12:34:56Z');
const range = (query: Parameters<typeof historyRange>[0]) => historyRange(query, NOW_MS);
const ago = (days: number) => new Date(NOW_MS - days * 86_400_000).toISOString();

describe('the range of a history', () => {
  it('is the last hour by the minute unless something else is asked for', () => {
    expect(range({})).toEqual({
      from: new Date('2026-03-10T11:34:00Z'),
      to: new Date(NOW_MS),
      step_s: 60,
      rows: 'minute',
    });
  });

  it.each([
    [0.2, 60, 'minute'],
    [1, 300, 'minute'],
    [3, 900, 'minute'],
    [10, 3_600, 'hour'],
    [60, 21_600, 'hour'],
    [200, 86_400, 'day'],
  ])('of %s days has steps of %s seconds', (days, step_s, rows) => {
    const found = range({ from: ago(days) });
    expect(found).toMatchObject({ step_s, rows });
    expect((found.to.getTime() - found.from.getTime()) / 1000 / step_s).toBeLessThanOrEqual(362);
  });

  it('of long ago has steps that are still kept', () => {
    expect(range({ from: ago(40), to: ago(39.9) }).rows).toBe('hour');
    expect(range({ from: ago(400), to: ago(399.9) }).rows).toBe('day');
  });

  it('begins where a step does, and refuses what is the wrong way round or too much', () => {
    expect(range({ from: '2026-03-10T11:11:11Z', step: '15m' }).from).toEqual(
      new Date('2026-03-10T11:00:00Z'),
    );
    expect(() => range({ from: ago(1), to: ago(2) })).toThrow('later');
    expect(() => range({ from: ago(10), step: '1m' })).toThrow('more than 6000 minutes');
    expect(startOf('day', NOW_MS)).toBe('2026-03-10T00:00:00.000Z');
  });
});
