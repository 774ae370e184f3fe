import { describe, expect, it } from 'vitest';
import type { BaseModule } from '#contracts/base-model.js';
import { wantsParity } from './parity-policy.js';

const module = (name: string, out: number, inputs: number): BaseModule => ({
  name,
  kind: 'linear',
  out,
  in: inputs,
  bias: false,
});

describe('PARITY_CHECK', () => {
  const small = { tieWordEmbeddings: false, modules: [module('a', 10_000, 5_000)] };
  const large = { tieWordEmbeddings: false, modules: [...small.modules, module('b', 1, 1)] };

  it('auto checks on bases of at most 50 million parameters', () => {
    expect(wantsParity('auto', small)).toBe(true);
    expect(wantsParity('auto', large)).toBe(false);
  });

  it('counts a tied head once', () => {
    const modules = [module('model.embed_tokens', 10_000, 5_000), module('lm_head', 10_000, 5_000)];
    expect(wantsParity('auto', { tieWordEmbeddings: true, modules })).toBe(true);
    expect(wantsParity('auto', { tieWordEmbeddings: false, modules })).toBe(false);
  });

  it('on and off rule over the size', () => {
    expect(wantsParity('on', large)).toBe(true);
    expect(wantsParity('off', small)).toBe(false);
  });
});
