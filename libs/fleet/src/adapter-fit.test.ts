import { describe, expect, it } from 'vitest';
import { fitOf } from './adapter-fit.js';

const layer = (index: number) =>
  [
    { name: `model.layers.${index}.self_attn.q_proj`, in: 64, out: 64 },
    { name: `model.layers.${index}.mlp.down_proj`, in: 256, out: 64 },
  ].map((module) => ({ ...module, kind: 'linear' as const, bias: false }));
const base = {
  quantization: 'none',
  modules: [
    ...layer(0),
    ...layer(1),
    { name: 'lm_head', kind: 'linear' as const, in: 64, out: 1000, bias: false },
    { name: 'model.embed_tokens', kind: 'embedding' as const, in: 1000, out: 64, bias: false },
  ],
};
const limits = { limitBytes: 100_000, maxSequences: 8 };

describe('what fits', () => {
  it('counts the bytes of both low-rank parts in every layer', () => {
    expect(fitOf(base, { rank: 8, modules: 'q_proj', adapters: 20 }, limits)).toMatchObject({
      modules: ['q_proj'],
      module_count: 2,
      bytes_each: 2 * 8 * (64 + 64) * 4,
      bytes: 20 * 8192,
      fit_at_once: 12,
      beyond: 8,
      speed: { batch: 8 },
    });
  });

  it('leaves the output layer out of all-linear, as PEFT does', () => {
    const fit = fitOf(base, { rank: 4, modules: 'all-linear', adapters: 1 }, limits);
    expect(fit).toMatchObject({
      modules: ['q_proj', 'down_proj'],
      bytes_each: 2 * 4 * (128 + 320) * 4,
      beyond: 0,
    });
  });

  it('expects less speed of more adapters in a batch, of higher ranks, and of smaller weights', () => {
    const speed = (rank: number, quantization = 'none') =>
      fitOf({ ...base, quantization }, { rank, modules: 'all-linear', adapters: 8 }, limits).speed;
    expect(speed(4).one_adapter).toBeLessThan(1);
    expect(speed(4).all_different).toBeLessThan(speed(4).one_adapter);
    expect(speed(8).one_adapter).toBeLessThan(speed(4).one_adapter);
    expect(speed(4, 'int4').one_adapter).toBeLessThan(speed(4).one_adapter);
  });

  it('names a module that the base does not have', () => {
    expect(() => fitOf(base, { rank: 4, modules: 'q_proj,k_proj', adapters: 1 }, limits)).toThrow(
      'no linear modules k_proj; it has q_proj, down_proj, lm_head',
    );
    expect(() => fitOf(base, { rank: 4, modules: ' , ', adapters: 1 }, limits)).toThrow('no linear modules');
  });
});
