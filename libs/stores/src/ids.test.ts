import { describe, expect, it } from 'vitest';
import { firstIdAt, isId, newId } from './ids.js';

const NOW_MS = Date.parse('2026-11-30T01:45:00.123Z');

describe('an id', () => {
  it('is a UUID of version 7 that nobody else has', () => {
    const ids = Array.from({ length: 5_000 }, () => newId(NOW_MS));
    expect(new Set(ids).size).toBe(ids.length);
    for (const id of ids)
      expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    expect(ids.every(isId)).toBe(true);
  });

  it('sorts behind those that were made before it, also in the same millisecond', () => {
    const ids = [NOW_MS - 1, ...Array<number>(1_000).fill(NOW_MS), NOW_MS + 1].map((now_ms) => newId(now_ms));
    expect(ids.toSorted()).toEqual(ids);
  });

  it('lies between the first of its millisecond and the first of the next', () => {
    expect(newId(NOW_MS) >= firstIdAt(NOW_MS) && newId(NOW_MS) < firstIdAt(NOW_MS + 1)).toBe(true);
  });
});
