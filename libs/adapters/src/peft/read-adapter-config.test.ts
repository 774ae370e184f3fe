import { describe, expect, it } from 'vitest';
import type { AdapterErrorCode } from '#contracts/adapter-report.js';
import { changed, codes, QUERY_CONFIG, read } from '../../../../test/support/adapter-shapes.js';

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
