import { describe, expect, it } from 'vitest';
import type { ArmedGuard } from '#contracts/alias-trials.js';
import { armGuard, breachOf, grownVersions, reasonOf } from './guard-rule.js';

const routes = (...pairs: readonly (readonly [number, number])[]) =>
  pairs.map(([version, weight]) => ({ version, weight }));

const guard: ArmedGuard = {
  max_error_rate: 0.1,
  max_tpot_ms: 50,
  min_requests: 10,
  window_s: 60,
  versions: [2],
  fallback: [1],
  until: '2026-01-01T00:00:00.000Z',
};

describe('a guarded change', () => {
  it('watches the versions that get a larger share, new ones and ramped ones', () => {
    expect(grownVersions(routes([1, 1]), routes([2, 1]))).toEqual([2]);
    expect(grownVersions(routes([1, 95], [2, 5]), routes([1, 50], [2, 50]))).toEqual([2]);
    expect(grownVersions(routes([1, 1], [2, 1]), routes([1, 10], [2, 10]))).toEqual([]);
    expect(grownVersions(routes([1, 1], [2, 1], [3, 1]), routes([2, 1], [3, 1]))).toEqual([2, 3]);
  });

  it('is armed from now until its window ends, with what it would go back to', () => {
    const change = { guard, before: routes([1, 1]), after: routes([1, 1], [2, 1]), now_ms: 0 };
    expect(armGuard(change)).toMatchObject({
      versions: [2],
      fallback: [1],
      until: '1970-01-01T00:01:00.000Z',
    });
    expect(armGuard({ ...change, after: change.before })).toBeUndefined();
  });
});

describe('a guard', () => {
  const judge = (figures: Record<string, number>, version = 2) =>
    breachOf(guard, new Map([[version, figures]]));

  it('judges nothing before there are enough requests', () => {
    expect(judge({ requests: 9, errors: 9 })).toBeUndefined();
    expect(judge({ requests: 10, errors: 10 })).toMatchObject({ bound: 'max_error_rate', observed: 1 });
    expect(breachOf(guard, new Map())).toBeUndefined();
  });

  it('holds at the bound and breaks above it', () => {
    expect(judge({ requests: 10, errors: 1 })).toBeUndefined();
    expect(judge({ requests: 10, errors: 2 })).toMatchObject({ version: 2, limit: 0.1, observed: 0.2 });
    expect(judge({ requests: 10, tpot_ms: 500, tpot_sequences: 10 })).toBeUndefined();
    expect(judge({ requests: 10, tpot_ms: 510, tpot_sequences: 10 })).toMatchObject({
      bound: 'max_tpot_ms',
      observed: 51,
    });
  });

  it('does not blame a version that it does not watch', () => {
    expect(judge({ requests: 10, errors: 10 }, 1)).toBeUndefined();
  });

  it('says why in words', () => {
    const breach = judge({ requests: 20, errors: 5 });
    expect(breach && reasonOf(breach)).toBe(
      'Of 20 requests to version 2, 25.0 % failed; the bound was 10.0 %.',
    );
  });
});
