import { expect, it } from 'vitest';
import { nextTry_s, RETRY_SCHEDULE_S } from './retry-schedule.js';

it('spaces attempts as Standard Webhooks do, and then gives up', () => {
  const waits = [1, 2, 3, 4, 5, 6, 7, 8].map((tries) => nextTry_s({ tries }, RETRY_SCHEDULE_S, 0));
  expect(waits).toEqual([5, 300, 1800, 7200, 18_000, 36_000, 36_000, undefined]);
});

it('adds up to a tenth, so that what failed together comes back apart', () => {
  expect(nextTry_s({ tries: 2 }, RETRY_SCHEDULE_S, 0.999)).toBeCloseTo(330, 0);
});

it('waits longer where the receiver asks for it, though not for ever', () => {
  expect(nextTry_s({ tries: 1, asked_s: 60 }, RETRY_SCHEDULE_S, 0)).toBe(60);
  expect(nextTry_s({ tries: 4, asked_s: 60 }, RETRY_SCHEDULE_S, 0)).toBe(7200);
  expect(nextTry_s({ tries: 1, asked_s: 1e9 }, RETRY_SCHEDULE_S, 0)).toBe(24 * 3600);
});
