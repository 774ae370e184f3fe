import { describe, expect, it } from 'vitest';
import type { BaseModel, BaseModule } from '#contracts/base-model.js';
import { codes, headerOf, read, type Shapes } from '../../../test/support/adapter-shapes.js';
import { denseChanges } from './dense/dense-changes.js';

/* A layer of 4 queries' rows, 2 of keys, 2 of values over width 4, and an MLP of width 6, apart and in one. */

const linear = (name: string, out: number, width: number, parts?: number[]): BaseModule => ({
  name: `model.layers.0.${name}`,
  kind: 'linear',
  out,
  in: width,
  bias: false,
  ...(parts && { parts }),
});
const baseOf = (modules: BaseModule[]): BaseModel => ({
  name: 'base',
  digest: 'b'.repeat(64),
  architecture: 'LlamaForCausalLM',
  hiddenSize: 4,
  numLayers: 1,
  vocabSize: 40,
  maxContext: 64,
  tieWordEmbeddings: false,
  quantization: 'none',
  modules: [...modules, { name: 'lm_head', kind: 'linear', out: 40, in: 4, bias: false }],
});
const apart = baseOf([
  linear('self_attn.q_proj', 4, 4),
  linear('self_attn.k_proj', 2, 4),
  linear('self_attn.v_proj', 2, 4),
  linear('mlp.gate_proj', 6, 4),
  linear('mlp.up_proj', 6, 4),
  linear('mlp.down_proj', 4, 6),
]);
const inOne = baseOf([
  linear('self_attn.qkv_proj', 8, 4, [4, 2, 2]),
  linear('mlp.gate_up_proj', 12, 4, [6, 6]),
  linear('mlp.down_proj', 4, 6),
]);

const tensors = (name: string, out: number, width: number): Shapes => {
  const path = `base_model.model.model.layers.0.${name}`;
  return {
    [`${path}.lora_A.weight`]: [2, width],
    [`${path}.lora_B.weight`]: [out, 2],
    [`${path}.lora_magnitude_vector`]: [out],
  };
};
const config = (...targets: string[]) => ({
  peft_type: 'LORA',
  r: 2,
  lora_alpha: 4,
  use_dora: true,
  target_modules: targets,
});
const FUSED: Shapes = {
  ...tensors('self_attn.qkv_proj', 8, 4),
  ...tensors('mlp.gate_up_proj', 12, 4),
  ...tensors('mlp.down_proj', 4, 6),
};
const SPLIT: Shapes = {
  ...tensors('self_attn.q_proj', 4, 4),
  ...tensors('self_attn.v_proj', 2, 4),
  ...tensors('mlp.up_proj', 6, 4),
};
const FUSED_CONFIG = config('qkv_proj', 'gate_up_proj', 'down_proj');
const SPLIT_CONFIG = config('q_proj', 'v_proj', 'up_proj');

/** Where the manifest and the parity check's second reading put the changes. */
const placesOf = (fields: object, shapes: Shapes, base: BaseModel) => {
  const reading = read(fields, shapes, base);
  expect(reading.report.errors).toEqual([]);
  const place = ({ module, part, within }: { module: string; part?: unknown; within?: unknown }) => [
    module.replace('model.layers.0.', ''),
    ...(part === undefined ? [] : [part]),
    ...(within === undefined ? [] : [within]),
  ];
  const places = reading.verdict === 'accepted' ? reading.manifest.modules.map(place) : [];
  const dense = denseChanges({ config: fields, header: headerOf(shapes), base }).map(place);
  expect(dense.toSorted()).toEqual(places.toSorted());
  return places;
};

describe('an adapter of fused projections', () => {
  it('is read on a base that has them apart: each has its rows of B, and A in common', () => {
    expect(placesOf(FUSED_CONFIG, FUSED, apart)).toEqual([
      ['self_attn.q_proj', { first: 0, of: 8 }],
      ['self_attn.k_proj', { first: 4, of: 8 }],
      ['self_attn.v_proj', { first: 6, of: 8 }],
      ['mlp.gate_proj', { first: 0, of: 12 }],
      ['mlp.up_proj', { first: 6, of: 12 }],
      ['mlp.down_proj'],
    ]);
  });

  it('is read as it is where the base has them in one', () => {
    expect(placesOf(FUSED_CONFIG, FUSED, inOne)).toEqual([
      ['self_attn.qkv_proj'],
      ['mlp.gate_up_proj'],
      ['mlp.down_proj'],
    ]);
  });

  it('is refused beside tensors of the projections apart', () => {
    expect(codes(config('qkv_proj', 'q_proj'), { ...FUSED, ...SPLIT }, apart)).toContain(
      'tensor_module_unknown',
    );
  });
});

describe('an adapter of projections apart', () => {
  it('is read on a base that has them in one: each is a part of it', () => {
    expect(placesOf(SPLIT_CONFIG, SPLIT, inOne)).toEqual([
      ['self_attn.qkv_proj', 0],
      ['self_attn.qkv_proj', 2],
      ['mlp.gate_up_proj', 1],
    ]);
  });

  it('must have the tensors of all that the config names', () => {
    expect(codes(config('q_proj', 'k_proj', 'v_proj', 'up_proj'), SPLIT, inOne)).toEqual(['tensor_missing']);
  });
});
