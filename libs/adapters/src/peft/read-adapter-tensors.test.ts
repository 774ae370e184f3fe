import { describe, expect, it } from 'vitest';
import type { AdapterErrorCode } from '#contracts/adapter-report.js';
import type { BaseModel } from '#contracts/base-model.js';
import {
  biased,
  changed,
  codes,
  Q,
  QUERIES,
  QUERY_CONFIG,
  read,
  tied,
  without,
  type Shapes,
} from '../../../../test/support/adapter-shapes.js';

describe('the tensors', () => {
  const A0 = `${Q(0)}.lora_A.weight`;
  const B0 = `${Q(0)}.lora_B.weight`;
  const renamed = (from: string, to: string): Shapes => ({
    ...without(QUERIES, from),
    [to]: QUERIES[from] ?? [],
  });
  const HEAD = 'base_model.model.lm_head';
  const EMBED = 'base_model.model.model.embed_tokens';
  const cases: [string, object, Shapes, AdapterErrorCode[], BaseModel?][] = [
    ['a missing factor', {}, without(QUERIES, B0), ['tensor_missing']],
    ['a missing layer', {}, without(QUERIES, A0, B0), ['tensor_missing']],
    ['no tensor at all', {}, {}, ['tensor_missing']],
    ['a layer too many', {}, { ...QUERIES, [`${Q(3)}.lora_A.weight`]: [4, 64] }, ['tensor_module_unknown']],
    [
      'a layer left out by layers_to_transform',
      { layers_to_transform: [1, 2] },
      QUERIES,
      ['tensor_unexpected'],
    ],
    [
      'a projection that is not targeted',
      {},
      { ...QUERIES, [`${Q(0).replace('q_', 'v_')}.lora_A.weight`]: [4, 64] },
      ['tensor_unexpected'],
    ],
    ['another rank', { r: 8 }, QUERIES, ['tensor_shape']],
    ['another rank by rank_pattern', { rank_pattern: { 'layers.1.*q_proj': 2 } }, QUERIES, ['tensor_shape']],
    ['a transposed factor', {}, { ...QUERIES, [A0]: [64, 4] }, ['tensor_shape']],
    ['a flat factor', {}, { ...QUERIES, [A0]: [256] }, ['tensor_shape']],
    ['an empty factor', {}, { ...QUERIES, [A0]: [0, 64] }, ['tensor_shape']],
    ['integers', {}, { ...QUERIES, [A0]: { shape: [4, 64], dtype: 'I32' } }, ['tensor_dtype']],
    ['bytes of a 4-bit format', {}, { ...QUERIES, [A0]: { shape: [4, 64], dtype: 'U8' } }, ['tensor_dtype']],
    [
      'a name without prefix',
      {},
      renamed(A0, A0.replace('base_model.model.', '')),
      ['tensor_name_invalid', 'tensor_missing'],
    ],
    [
      'an unknown kind of tensor',
      {},
      { ...QUERIES, [`${Q(0)}.lora_C.weight`]: [4, 64] },
      ['tensor_module_unknown'],
    ],
    [
      'one factor twice',
      {},
      { ...QUERIES, [`${Q(0)}.lora_A.default.weight`]: [4, 64] },
      ['tensor_duplicate'],
    ],
    [
      'two adapters in one file',
      {},
      { ...renamed(A0, `${Q(0)}.lora_A.one.weight`), [`${Q(1)}.lora_A.two.weight`]: [4, 64] },
      ['tensor_name_invalid', 'tensor_duplicate'],
    ],
    ['DoRA without magnitudes', { use_dora: true }, QUERIES, ['tensor_missing']],
    [
      'magnitudes without DoRA',
      {},
      { ...QUERIES, [`${Q(0)}.lora_magnitude_vector`]: [64] },
      ['tensor_unexpected'],
    ],
    ['lora_bias without biases', { lora_bias: true }, QUERIES, ['tensor_missing']],
    [
      'a replaced weight of a projection',
      {},
      { ...QUERIES, [`${Q(0)}.base_layer.weight`]: [64, 64] },
      ['tensor_unexpected'],
    ],
    [
      'a norm that modules_to_save does not name',
      {},
      { ...QUERIES, 'base_model.model.model.norm.weight': [64] },
      ['tensor_unexpected'],
    ],
    ['modules_to_save without its weight', { modules_to_save: ['lm_head'] }, QUERIES, ['tensor_missing']],
    [
      'a saved head of a larger vocabulary',
      { modules_to_save: ['lm_head'] },
      { ...QUERIES, [`${HEAD}.weight`]: [520, 64] },
      ['vocabulary_resized'],
    ],
    [
      'an embedding of a larger vocabulary beside',
      {},
      { ...QUERIES, [`${EMBED}.weight`]: [520, 64] },
      ['vocabulary_resized'],
    ],
    [
      'a bias that the base model does not have',
      { bias: 'all' },
      { ...QUERIES, [`${Q(0)}.base_layer.bias`]: [64] },
      ['tensor_unexpected'],
    ],
    ['bias without its tensors', { bias: 'lora_only' }, QUERIES, ['tensor_missing'], biased],
    [
      'a module both adapted and saved',
      { modules_to_save: ['proj'] },
      QUERIES,
      ['module_conflict', 'tensor_missing'],
    ],
    [
      'a saved module inside a saved module',
      { modules_to_save: ['mlp', 'mlp.up_proj'] },
      QUERIES,
      ['module_conflict', 'tensor_missing'],
    ],
    [
      'token rows beyond the vocabulary',
      { trainable_token_indices: [512] },
      { ...QUERIES, [`${EMBED}.token_adapter.trainable_tokens_delta`]: [1, 64] },
      ['token_index_invalid'],
    ],
    [
      'token rows named twice',
      { trainable_token_indices: [5, 5] },
      { ...QUERIES, [`${EMBED}.token_adapter.trainable_tokens_delta`]: [2, 64] },
      ['token_index_invalid'],
    ],
    [
      'token rows of a module without tokens',
      { trainable_token_indices: { 'layers.0.self_attn.q_proj': [5] } },
      QUERIES,
      ['config_field_refused'],
    ],
    [
      'token rows that a tied head shall share and not share',
      {
        trainable_token_indices: { embed_tokens: [5], lm_head: [6] },
        ensure_weight_tying: true,
      },
      QUERIES,
      ['config_conflict', 'tensor_missing'],
      tied,
    ],
    [
      'token rows of an adapted embedding',
      { target_modules: ['embed_tokens'], trainable_token_indices: [5] },
      {},
      ['module_conflict', 'tensor_missing'],
    ],
    [
      "ensure_weight_tying of a saved embedding without the head's weight",
      { ensure_weight_tying: true, modules_to_save: ['embed_tokens'] },
      { ...QUERIES, 'base_model.model.model.embed_tokens.weight': [512, 64] },
      ['tensor_missing'],
      tied,
    ],
    [
      'lora_bias on an embedding',
      { lora_bias: true, target_modules: ['embed_tokens'] },
      {},
      ['config_conflict', 'tensor_missing'],
    ],
    [
      'linear names on an embedding',
      { target_modules: ['embed_tokens'] },
      { [`${EMBED}.lora_A.weight`]: [4, 512], [`${EMBED}.lora_B.weight`]: [64, 4] },
      ['tensor_unexpected', 'tensor_missing'],
    ],
  ];
  it.each(cases)('are checked against the config: %s', (_, fields, shapes, expected, base) => {
    expect(codes(changed(fields), shapes, base)).toEqual(expected);
  });

  it('are named in the error with what was expected and found', () => {
    expect(read(QUERY_CONFIG, { ...QUERIES, [A0]: [8, 64] }).report.errors).toEqual([
      {
        code: 'tensor_shape',
        message: `${A0} has shape [8, 64], expected [4, 64] (target_modules covers it with rank 4).`,
        tensor: A0,
        module: 'model.layers.0.self_attn.q_proj',
        expected: '[4, 64]',
        found: '[8, 64]',
      },
    ]);
    expect(read(QUERY_CONFIG, without(QUERIES, B0)).report.errors).toEqual([
      {
        code: 'tensor_missing',
        message:
          'lora_B of model.layers.0.self_attn.q_proj is missing (target_modules covers it with rank 4).',
        module: 'model.layers.0.self_attn.q_proj',
        expected: '[64, 4]',
      },
    ]);
  });

  it.each([
    ['torch.compile', (name: string) => name.replace('base_model.model.', 'base_model.model._orig_mod.')],
    ['a compiled layer', (name: string) => name.replace(/layers\.(\d)/, 'layers.$1._orig_mod')],
    ['DDP', (name: string) => `module.${name}`],
    ['DDP inside', (name: string) => name.replace('base_model.model.', 'base_model.model.module.')],
    ['FSDP', (name: string) => `_fsdp_wrapped_module.${name}`],
  ])('may go through the wrapper of %s, which is said in a warning', (_, wrap) => {
    const wrapped = Object.fromEntries(Object.entries(QUERIES).map(([name, shape]) => [wrap(name), shape]));
    const reading = read(QUERY_CONFIG, wrapped);
    expect(reading.report.errors).toEqual([]);
    expect(reading.report.warnings.map(({ code }) => code)).toEqual(['wrapper_prefix']);
  });

  it('may carry the name of an adapter, as raw state dicts do', () => {
    const named = Object.fromEntries(
      Object.entries({
        ...QUERIES,
        [`${Q(0)}.lora_magnitude_vector`]: [64],
        [`${Q(1)}.lora_magnitude_vector.weight`]: [64],
        [`${Q(2)}.lora_magnitude_vector.mine.weight`]: [64],
      }).map(([name, shape]) => [name.replace(/lora_(A|B)\.weight/, 'lora_$1.mine.weight'), shape]),
    );
    const saved = {
      [`${HEAD}.modules_to_save.mine.weight`]: [512, 64],
      'base_model.model.model.layers.0.mlp.modules_to_save.mine.up_proj.weight': [160, 64],
    };
    const rest = {
      'base_model.model.model.layers.0.mlp.modules_to_save.gate_proj.weight': [160, 64],
      'base_model.model.model.layers.0.mlp.down_proj.weight': [64, 160],
    };
    const reading = read(changed({ use_dora: true, modules_to_save: ['lm_head', 'layers.0.mlp'] }), {
      ...named,
      ...saved,
      ...rest,
    });
    expect(reading.report.errors).toEqual([]);
    expect(reading.report.summary).toEqual({
      ranks: [4],
      modules: 7,
      parameters: 3 * (2 * 4 * 64 + 64) + 512 * 64 + 3 * 160 * 64,
    });
  });

  it('of a saved embedding replace both sides of tied embeddings, the head last', () => {
    const weights = { ...QUERIES, [`${EMBED}.weight`]: [512, 64], [`${HEAD}.weight`]: [512, 64] };
    const reading = read(QUERY_CONFIG, weights, tied);
    const replaced =
      reading.verdict === 'accepted' ? reading.manifest.modules.filter(({ weight }) => weight) : [];
    expect(replaced.map(({ module, weight }) => [module, weight?.name])).toEqual([
      ['model.embed_tokens', `${HEAD}.weight`],
      ['lm_head', `${HEAD}.weight`],
    ]);
    expect(reading.report.warnings.map(({ code }) => code)).toEqual([
      'base_weight_replaced',
      'base_weight_replaced',
    ]);
  });

  it('of an adapter for a much larger model do not flood the report', () => {
    const many = Object.fromEntries(
      Array.from({ length: 500 }, (_, layer) => [`${Q(layer + 3)}.lora_A.weight`, [1, 1]]),
    );
    const { errors } = read(QUERY_CONFIG, { ...QUERIES, ...many }).report;
    expect(errors).toHaveLength(50);
    expect(errors.at(-1)?.message).toContain('And 450 more of this kind.');
  });
});
