import { describe, expect, it } from 'vitest';
import { SafetensorsError } from '#safetensors/error.js';
import {
  changed,
  codes,
  Q,
  QUERIES,
  QUERY_CONFIG,
  read,
  without,
} from '../../../../test/support/adapter-shapes.js';
import { rejectUnreadable, rejectWith } from './read-adapter.js';

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
    expect(
      rejectUnreadable(error, { configJson: '{"peft_type":"IA3"}' }).errors.map(({ code }) => code),
    ).toEqual(['weights_file_invalid', 'peft_type_unsupported']);
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
