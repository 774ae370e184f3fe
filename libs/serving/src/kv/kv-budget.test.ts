import { describe, expect, it } from 'vitest';
import { kvBudgetBytes, pageTokensOf } from './kv-budget.js';

/** Two layers, two KV heads of 16: as native counts them. */
const VECTORS = 2 * 2 * 2;
const inspection = {
  maxPositions: 512,
  kvTokenBytes: { f32: VECTORS * 64, f16: VECTORS * 32, bf16: VECTORS * 32, int8: VECTORS * 20 },
  kvStateBytes: 0,
};
const options = {
  inspection,
  dtype: 'f32' as const,
  wantedBytes: undefined,
  maxContext: undefined,
  maxSequences: 4,
  availableBytes: 2 ** 40,
};

describe('the size of the KV cache', () => {
  it('takes what the operator says', () => {
    expect(kvBudgetBytes({ ...options, wantedBytes: 12_345 })).toBe(12_345);
  });

  it('takes no more than full batches of full contexts need', () => {
    const bytesPerToken = 2 * 2 * 2 * 16 * 4; // keys and values, layers, heads, head size, f32
    expect(kvBudgetBytes(options)).toBe(bytesPerToken * 512 * 4);
    expect(kvBudgetBytes({ ...options, dtype: 'bf16', maxContext: 256 })).toBe((bytesPerToken / 2) * 256 * 4);
  });

  it('counts the scales of an int8 cache', () => {
    const bytesPerToken = 2 * 2 * 2 * (16 + 4); // keys and values, layers, heads, head size and its scale
    expect(kvBudgetBytes({ ...options, dtype: 'int8' })).toBe(bytesPerToken * 512 * 4);
  });

  it('counts the states that a page of a recurrent model has beside its tokens', () => {
    const bytesPerToken = 2 * 2 * 2 * 16 * 4;
    const recurrent = { ...inspection, kvStateBytes: 4096 };
    const pages = (512 / 16) * 4;
    expect(kvBudgetBytes({ ...options, inspection: recurrent })).toBe((bytesPerToken * 16 + 4096) * pages);
  });

  it('makes pages of recurrent models larger until states are at most half of them', () => {
    const sizes = (kvStateBytes: number) => pageTokensOf({ ...inspection, kvStateBytes }, 'f32');
    expect([0, 8192, 8193, 30_000, 70_000].map(sizes)).toEqual([16, 16, 32, 64, 256]);
  });

  it('takes a quarter of the free memory where that is less', () => {
    expect(kvBudgetBytes({ ...options, availableBytes: 400_000 })).toBe(100_000);
  });
});
