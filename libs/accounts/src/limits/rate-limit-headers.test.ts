import { describe, expect, it } from 'vitest';
import type { Subject } from './limit-store.js';
import { duration, rateLimitHeaders } from './rate-limit-headers.js';

const tenant: Subject = {
  id: 't',
  kind: 'tenant',
  limits: { requests_per_minute: 60, tokens_per_minute: 6_000 },
};
const key: Subject = { id: 'k', kind: 'key', limits: { requests_per_minute: 10 } };

describe('rateLimitHeaders', () => {
  it('tell of the subject with less left, each rate by itself', () => {
    const remaining = [
      { requests: 50.9, tokens: 3_000 },
      { requests: 4.5, tokens: undefined },
    ];
    expect(rateLimitHeaders([tenant, key], { remaining })).toEqual({
      'x-ratelimit-limit-requests': '10',
      'x-ratelimit-remaining-requests': '4',
      'x-ratelimit-reset-requests': '33s',
      'x-ratelimit-limit-tokens': '6000',
      'x-ratelimit-remaining-tokens': '3000',
      'x-ratelimit-reset-tokens': '30s',
    });
  });

  it('never tell of less than nothing, and nothing of what is not limited', () => {
    const concurrent: Subject = { id: 'k', kind: 'key', limits: { concurrent_requests: 3 } };
    const nothing = { requests: undefined, tokens: undefined };
    expect(rateLimitHeaders([concurrent], { remaining: [nothing] })).toEqual({});
    const remaining = [{ requests: 60, tokens: -60 }];
    expect(rateLimitHeaders([tenant], { remaining })).toMatchObject({
      'x-ratelimit-remaining-tokens': '0',
      'x-ratelimit-reset-tokens': '1m0.6s',
      'x-ratelimit-reset-requests': '0ms',
    });
  });
});

it.each([
  [0, '0ms'],
  [19.2, '20ms'],
  [999.5, '1s'],
  [1_500, '1.5s'],
  [60_000, '1m0s'],
  [360_000, '6m0s'],
  [61_001, '1m1.001s'],
])('writes %d ms as %s', (time_ms, text) => {
  expect(duration(time_ms)).toBe(text);
});
