import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { structureFields, structureWish } from './structure-wish.js';

const Request = z.object(structureFields);
const wishOf = (fields: object) => structureWish(Request.parse(fields));
const schema = { type: 'object', properties: { a: { type: 'integer' } } };
const tag = { begin: '<a>', schema, end: '</a>' };

describe('wishes for structure', () => {
  it.each([
    [{}, undefined],
    [{ response_format: null, guided_json: null, structured_outputs: null }, undefined],
    [{ response_format: { type: 'text' }, structured_outputs: { json_object: false } }, undefined],
    [{ response_format: { type: 'json_object' } }, { kind: 'json_object' }],
    [
      { response_format: { type: 'json_schema', json_schema: { name: 'x', schema, strict: true } } },
      { kind: 'json_schema', schema },
    ],
    [
      { response_format: { type: 'json_schema', json_schema: { name: 'x' } } },
      { kind: 'json_schema', schema: {} },
    ],
    [{ structured_outputs: { json: schema } }, { kind: 'json_schema', schema }],
    [{ structured_outputs: { json: JSON.stringify(schema) } }, { kind: 'json_schema', schema }],
    [{ structured_outputs: { json_object: true } }, { kind: 'json_object' }],
    [{ structured_outputs: { regex: 'a+' } }, { kind: 'regex', pattern: 'a+' }],
    [{ structured_outputs: { choice: ['a', 'b'] } }, { kind: 'choice', choices: ['a', 'b'] }],
    [{ structured_outputs: { grammar: 'root ::= "a"' } }, { kind: 'grammar', grammar: 'root ::= "a"' }],
    [{ guided_json: schema }, { kind: 'json_schema', schema }],
    [{ guided_json: true }, { kind: 'json_schema', schema: true }],
    [{ guided_regex: '' }, { kind: 'regex', pattern: '' }],
    [{ guided_choice: ['a'] }, { kind: 'choice', choices: ['a'] }],
    [{ guided_grammar: 'root ::= "a"' }, { kind: 'grammar', grammar: 'root ::= "a"' }],
  ])('are read from %j', (fields, wish) => {
    expect(wishOf(fields)).toEqual(wish && { ...wish, compact: false });
  });

  it('are read from both forms of structural tags, as object and as text', () => {
    const older = { type: 'structural_tag', structures: [tag], triggers: ['<a'] };
    const format = {
      type: 'triggered_tags',
      triggers: ['<a'],
      tags: [
        { type: 'tag', begin: '<a>', content: { type: 'json_schema', json_schema: schema }, end: '</a>' },
      ],
    };
    const wish = { kind: 'structural_tag', format, compact: false };
    expect(wishOf({ response_format: older })).toEqual(wish);
    expect(wishOf({ response_format: { type: 'structural_tag', format } })).toEqual(wish);
    expect(wishOf({ structured_outputs: { structural_tag: JSON.stringify(older) } })).toEqual(wish);
  });

  it('take integers beyond 2^53 as numbers', () => {
    expect(wishOf({ guided_json: { maximum: 2n ** 70n } })).toMatchObject({ schema: { maximum: 2 ** 70 } });
  });

  it('may do without white space', () => {
    expect(wishOf({ structured_outputs: { json: schema, disable_any_whitespace: true } })).toMatchObject({
      compact: true,
    });
  });

  it.each([
    [{ response_format: { type: 'json_object' }, guided_regex: 'a' }, 'guided_regex', 'response_format'],
    [
      { structured_outputs: { json: schema, regex: 'a' } },
      'structured_outputs.regex',
      'structured_outputs.json',
    ],
    [{ guided_json: schema, guided_choice: ['a'] }, 'guided_choice', 'guided_json'],
  ])('are refused when there are two: %j', (fields, second, first) => {
    const fault = wishOf(fields);
    expect(fault).toMatchObject({
      path: second.split('.'),
      message: expect.stringContaining(`${first} is too`) as string,
    });
  });

  it.each([
    [{ guided_json: 'no json' }, 'guided_json'],
    [{ response_format: { type: 'structural_tag' } }, 'response_format.structures'],
    [
      { structured_outputs: { structural_tag: { format: { type: 'tag', begin: '<', end: '' } } } },
      'structured_outputs.structural_tag.format.content',
    ],
    [{ structured_outputs: { structural_tag: '{' } }, 'structured_outputs.structural_tag'],
  ])('say what is malformed: %j', (fields, path) => {
    const fault = wishOf(fields);
    expect(fault && 'message' in fault ? fault.path.join('.') : fault).toBe(path);
  });

  it.each([
    { response_format: { type: 'xml' } },
    { response_format: { type: 'json_schema' } },
    { response_format: { type: 'json_schema', json_schema: { name: 'a b', schema } } },
    { response_format: { type: 'json_schema', json_schema: { name: 'a', schema: 'x' } } },
    { structured_outputs: { whitespace_pattern: ' ' } },
    { structured_outputs: { choice: [] } },
    { guided_choice: [1] },
    { guided_json: 3 },
  ])('are checked by their fields: %j', (fields) => {
    expect(Request.safeParse(fields).success).toBe(false);
  });
});
