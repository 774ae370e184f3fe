import { describe, expect, it } from 'vitest';
import type { AdapterErrorCode } from '#contracts/adapter-report.js';
import type { BaseModel } from '#contracts/base-model.js';
import type { Dtype } from '#safetensors/dtype.js';
import { SafetensorsError } from '#safetensors/error.js';
import { readSafetensors } from '#safetensors/reader.js';
import { writeSafetensors } from '#safetensors/writer.js';
import { llamaBase } from '../../../../test/support/llama-base.js';
import { readAdapter, rejectUnreadable, rejectWith } from './read-adapter.js';

const config = new URL('../../../../test/golden/cases/llama-gqa/model/config.json', import.meta.url);
const untied = llamaBase(config);
const tied = llamaBase(config, { tie_word_embeddings: true });
const biased = llamaBase(config, { attention_bias: true });

type Shapes = Record<string, readonly number[] | { shape: readonly number[]; dtype: Dtype }>;
const Q = (layer: number) => `base_model.model.model.layers.${layer}.self_attn.q_proj`;
/** q_proj of all three layers with rank 4. */
const QUERIES: Shapes = Object.fromEntries(
  [0, 1, 2].flatMap((layer) => [
    [`${Q(layer)}.lora_A.weight`, [4, 64]],
    [`${Q(layer)}.lora_B.weight`, [64, 4]],
  ]),
);
const QUERY_CONFIG = {
  peft_type: 'LORA',
  task_type: 'CAUSAL_LM',
  r: 4,
  lora_alpha: 8,
  target_modules: ['q_proj'],
};

function headerOf(shapes: Shapes) {
  const tensors = Object.entries(shapes).map(([name, value]) => {
    const { shape, dtype } = Array.isArray(value)
      ? { shape: value, dtype: 'F16' as const }
      : (value as { shape: number[]; dtype: Dtype });
    const bits = { F16: 16, BF16: 16, F32: 32, F64: 64, I32: 32, U8: 8 }[dtype as 'F16'];
    return { name, dtype, shape, bytes: new Uint8Array((shape.reduce((a, b) => a * b, 1) * bits) / 8) };
  });
  return readSafetensors(writeSafetensors(tensors)).header;
}

function read(fields: object | string, shapes: Shapes = QUERIES, base: BaseModel = untied) {
  const configJson = typeof fields === 'string' ? fields : JSON.stringify(fields);
  return readAdapter({
    configJson,
    header: headerOf(shapes),
    base,
    weights: { sha256: 'a'.repeat(64), bytes: 1 },
  });
}

const codes = (fields: object | string, shapes?: Shapes, base?: BaseModel) => [
  ...new Set(read(fields, shapes, base).report.errors.map(({ code }) => code)),
];
const changed = (fields: object) => ({ ...QUERY_CONFIG, ...fields });
const without = (shapes: Shapes, ...names: string[]): Shapes =>
  Object.fromEntries(Object.entries(shapes).filter(([name]) => !names.includes(name)));

describe('an adapter_config.json', () => {
  const cases: [string, object | string, AdapterErrorCode[]][] = [
    ['no JSON', 'r: 8', ['config_json_invalid']],
    ['NaN', '{"peft_type":"LORA","lora_alpha":NaN}', ['config_json_invalid']],
    ['a number that overflows', '{"peft_type":"LORA","lora_alpha":1e999}', ['config_json_invalid']],
    ['a list', '[]', ['config_not_object']],
    ['null', 'null', ['config_not_object']],
    ['a key twice', '{"peft_type":"LORA","r":8,"r":16}', ['config_duplicate_key']],
    [
      'a key twice, deep inside',
      '{"peft_type":"LORA","rank_pattern":{"a":1,"a":2}}',
      ['config_duplicate_key'],
    ],
    ['no peft_type', { r: 4, target_modules: ['q_proj'] }, ['config_field_missing']],
    ['another method', { peft_type: 'IA3', feedforward_modules: [] }, ['peft_type_unsupported']],
    ['another task', changed({ task_type: 'SEQ_CLS' }), ['task_type_unsupported']],
    ['an unknown field', changed({ use_tomorrows_lora: true }), ['config_field_unknown']],
    [
      'a field of the prototype',
      '{"peft_type":"LORA","r":4,"lora_alpha":8,"target_modules":["q_proj"],"__proto__":{}}',
      ['config_field_unknown'],
    ],
    ['r = 0', changed({ r: 0 }), ['config_field_value']],
    ['r < 0', changed({ r: -4 }), ['config_field_value']],
    ['r = 4.5', changed({ r: 4.5 }), ['config_field_type']],
    ['r as text', changed({ r: '4' }), ['config_field_type']],
    ['r = true', changed({ r: true }), ['config_field_type']],
    ['r beyond all sense', changed({ r: 1_000_000 }), ['config_field_value']],
    ['lora_alpha = 0', changed({ lora_alpha: 0 }), ['config_field_value']],
    ['lora_alpha < 0', changed({ lora_alpha: -1 }), ['config_field_value']],
    ['lora_alpha beyond all sense', changed({ lora_alpha: 1e12 }), ['config_field_value']],
    ['lora_alpha = null', changed({ lora_alpha: null }), ['config_field_type']],
    ['a rank of 0 in rank_pattern', changed({ rank_pattern: { q_proj: 0 } }), ['config_field_value']],
    ['text in alpha_pattern', changed({ alpha_pattern: { q_proj: '8' } }), ['config_field_type']],
    ['use_dora as a number', changed({ use_dora: 1 }), ['config_field_type']],
    ['a wrong type of a field without meaning', changed({ lora_dropout: 'no' }), ['config_field_type']],
    ['a dropout above 1', changed({ lora_dropout: 2 }), ['config_field_value']],
    ['an unknown bias', changed({ bias: 'some' }), ['config_field_value']],
    ['an empty name', changed({ modules_to_save: [''] }), ['config_field_value']],
    ['a target that is a number', changed({ target_modules: [1] }), ['config_field_type']],
    ['no target_modules', { ...QUERY_CONFIG, target_modules: null }, ['config_field_missing']],
    ['target_modules = []', changed({ target_modules: [] }), ['target_none_matched']],
    ['an unknown target', changed({ target_modules: ['query_key_value'] }), ['target_none_matched']],
    [
      'a target in full that is not there',
      changed({ target_modules: ['q_proj', 'model.layers.3.self_attn.q_proj'] }),
      ['target_not_in_base'],
    ],
    [
      'a target in a nested model',
      changed({ target_modules: ['q_proj', 'language_model.q_proj'] }),
      ['target_not_in_base'],
    ],
    ['a target that is a norm', changed({ target_modules: ['q_proj', 'norm'] }), ['target_unsupported']],
    ['a target that is a container', changed({ target_modules: ['q_proj', 'mlp'] }), ['target_unsupported']],
    ['a bad regular expression', changed({ target_modules: '.*(q_proj' }), ['regex_unsupported']],
    ['a back reference', changed({ target_modules: '(q)_proj\\1' }), ['regex_unsupported']],
    [
      'a pattern that would backtrack for years',
      changed({ target_modules: `${'(?:(?:(?:.{0,900}){0,900}){0,900}){0,900}'.repeat(3)}x` }),
      ['target_none_matched'],
    ],
    ['a bad pattern of ranks', changed({ rank_pattern: { '*': 4 } }), ['regex_unsupported']],
    [
      'a regular expression in modules_to_save',
      changed({ modules_to_save: ['lm_head|norm'] }),
      ['regex_unsupported'],
    ],
    [
      'layers_to_transform beside a pattern',
      changed({ target_modules: '.*q_proj', layers_to_transform: [0] }),
      ['config_conflict'],
    ],
    ['layers_pattern alone', changed({ layers_pattern: 'layers' }), ['config_conflict']],
    ['a layer that is not there', changed({ layers_to_transform: [0, 3] }), ['target_not_in_base']],
    ['a negative layer', changed({ layers_to_transform: [-1] }), ['config_field_value']],
    [
      'a regular expression as layers_pattern',
      changed({ layers_to_transform: [0], layers_pattern: 'layers|h' }),
      ['regex_unsupported'],
    ],
    [
      'lora_bias with DoRA',
      changed({ lora_bias: true, use_dora: true }),
      ['config_conflict', 'tensor_missing'],
    ],
    ['weight tying on tied embeddings', changed({ ensure_weight_tying: true }), []],
    ['an unknown start', changed({ init_lora_weights: 'xavier' }), ['config_field_value']],
    ...['pissa', 'pissa_niter_16', 'olora', 'OLORA', 'corda', 'loftq', 'lora_ga'].map(
      (init): [string, object, AdapterErrorCode[]] => [
        `a start from ${init}`,
        changed({ init_lora_weights: init }),
        ['init_changes_base'],
      ],
    ),
    ...Object.entries({
      megatron_config: {},
      layer_replication: [[0, 2]],
      target_parameters: ['experts.gate_up_proj'],
      alora_invocation_tokens: [1, 2],
      use_qalora: true,
      velora_config: { num_groups: 64 },
      monteclora_config: {},
      kasa_config: { beta: 0.1 },
      arrow_config: { top_k: 3 },
      use_bdlora: { nblocks: 2 },
      enable_lora: [true, false, true],
    }).map(([field, value]): [string, object, AdapterErrorCode[]] => [
      `${field} set`,
      changed({ [field]: value }),
      ['config_field_refused'],
    ]),
  ];
  it.each(cases)('gets a clear answer: %s', (_, fields, expected) => {
    expect(codes(fields)).toEqual(expected);
  });

  it.each(['true', 'gaussian', 'eva', 'orthogonal', 'mica'])(
    'may say that training started from %s',
    (init) => {
      expect(codes(changed({ init_lora_weights: init === 'true' ? true : init }))).toEqual([]);
    },
  );

  it('reports several faults at once, each with its field', () => {
    const { report } = read(
      changed({ use_qalora: true, new_thing: 1, lora_dropout: 'x', task_type: 'QUESTION_ANS' }),
    );
    expect(report.errors.map(({ code, field }) => `${code} ${field}`).sort()).toEqual([
      'config_field_refused use_qalora',
      'config_field_type lora_dropout',
      'config_field_unknown new_thing',
      'task_type_unsupported task_type',
    ]);
  });

  it('says of every field of PEFT what became of it', () => {
    const { report } = read(changed({ lora_dropout: 0.1, kasa_config: null }));
    const treatment = (name: string) => report.fields.find((field) => field.name === name)?.treatment;
    expect(report.fields).toHaveLength(44);
    expect(['r', 'lora_dropout', 'kasa_config', 'use_dora', 'peft_version'].map(treatment)).toEqual([
      'honoured',
      'ignored',
      'ignored',
      'default',
      'default',
    ]);
  });
});

describe('a field at fault', () => {
  it('is reported as refused, whoever found the fault', () => {
    const { report } = read(changed({ exclude_modules: '(', init_lora_weights: 'pissa', lora_dropout: 'x' }));
    const refused = report.fields.filter(({ treatment }) => treatment === 'refused').map(({ name }) => name);
    expect(refused).toEqual(['exclude_modules', 'init_lora_weights', 'lora_dropout']);
  });
});

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
      'a name from a compiled model',
      {},
      renamed(A0, A0.replace('base_model.model.', 'base_model.model._orig_mod.')),
      ['tensor_module_unknown', 'tensor_missing'],
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
      ['tensor_shape'],
    ],
    [
      'an embedding of a larger vocabulary beside',
      {},
      { ...QUERIES, [`${EMBED}.weight`]: [520, 64] },
      ['tensor_shape'],
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
      'token rows of the output head',
      { trainable_token_indices: { lm_head: [5] } },
      QUERIES,
      ['config_field_refused'],
    ],
    [
      'token rows with tied embeddings',
      { trainable_token_indices: [5] },
      QUERIES,
      ['config_field_refused'],
      tied,
    ],
    [
      'token rows of an adapted embedding',
      { target_modules: ['embed_tokens'], trainable_token_indices: [5] },
      {},
      ['module_conflict', 'tensor_missing'],
    ],
    [
      'ensure_weight_tying with tied embeddings',
      { ensure_weight_tying: true },
      QUERIES,
      ['config_field_refused'],
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

describe('what is passed over with a warning', () => {
  it.each<[string, object, string]>([
    [
      'a bare target of other architectures',
      { target_modules: ['q_proj', 'query_key_value'] },
      'name_unmatched',
    ],
    ['an exclusion of nothing', { exclude_modules: ['vision'] }, 'name_unmatched'],
    ['a pattern without module', { rank_pattern: { k_proj: 2 } }, 'pattern_unmatched'],
    ['a saved module of other architectures', { modules_to_save: ['score'] }, 'name_unmatched'],
    ['fan_in_fan_out', { fan_in_fan_out: true }, 'fan_in_fan_out_ignored'],
    ['weight tying without tied embeddings', { ensure_weight_tying: true }, 'weight_tying_ignored'],
  ])('%s', (_, fields, code) => {
    const { verdict, report } = read(changed(fields));
    expect([verdict, report.warnings.map((warning) => warning.code)]).toEqual(['accepted', [code]]);
  });
});

describe('layers_to_transform beside full names', () => {
  const full = 'model.layers.0.self_attn.q_proj';
  it('does not filter a full name, as in PEFT', () => {
    const fields = changed({ target_modules: ['q_proj', full], layers_to_transform: [1] });
    expect(codes(fields, without(QUERIES, `${Q(2)}.lora_A.weight`, `${Q(2)}.lora_B.weight`))).toEqual([]);
  });

  it('is refused from 20 names on, where PEFT shortens them first', () => {
    const many = Array.from({ length: 19 }, (_, index) => `name_${index}`);
    const fields = changed({ target_modules: ['q_proj', full, ...many], layers_to_transform: [1] });
    expect(codes(fields)).toContain('config_conflict');
  });
});

describe('a report', () => {
  it('can be made of a file that is no safetensors file', () => {
    const error = new SafetensorsError('tensor_overlap', 'b overlaps a', { tensor: 'b' });
    expect(rejectUnreadable(error)).toMatchObject({
      verdict: 'rejected',
      errors: [
        { code: 'weights_file_invalid', tensor: 'b', message: expect.stringContaining('tensor_overlap') },
      ],
    });
    expect(rejectUnreadable(error, '{"peft_type":"IA3"}').errors.map(({ code }) => code)).toEqual([
      'weights_file_invalid',
      'peft_type_unsupported',
    ]);
    expect(() => rejectUnreadable(new Error('disk'))).toThrow('disk');
  });

  it('holds no NUL, which the database cannot store', () => {
    const fields = changed({ 'a\0b': { 'c\0': ['\0'] }, revision: '\0', rank_pattern: { 'q\0': 2 } });
    const { report } = read(fields, { ...QUERIES, 'x\0': [1], [`${Q(0)}.lora_A.\0.weight`]: [4, 64] });
    // Messages quote a NUL as a backslash and five characters, which is fine.
    expect(JSON.stringify(report).replaceAll('\\\\', '')).not.toContain('\\u0000');
    expect(report.fields.find(({ name }) => name === 'a\ufffdb')?.value).toEqual({ 'c\ufffd': ['\ufffd'] });
  });

  it('turns from accepted to rejected by what the scan finds', () => {
    const { report } = read(QUERY_CONFIG);
    const rejected = rejectWith(report, [{ code: 'no_effect', message: 'x' }]);
    expect([report.verdict, rejected.verdict, rejected.errors.length]).toEqual(['accepted', 'rejected', 1]);
  });
});
