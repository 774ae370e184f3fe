import { describe, expect, it, vi } from 'vitest';
import { DEFAULT_LIMITS } from '../budget.js';
import { StructureError } from '../errors.js';
import { wishGrammar } from '../wish-grammar.js';

// What is awaited is computed: a busy machine only takes longer.
vi.setConfig({ testTimeout: 300_000 });

function faultOf(schema: unknown): Pick<StructureError, 'fault' | 'keyword' | 'pointer'> {
  try {
    wishGrammar({ kind: 'json_schema', schema });
  } catch (error) {
    if (!(error instanceof StructureError)) throw error;
    const { fault, keyword, pointer } = error;
    return { fault, keyword, pointer };
  }
  throw new Error(`is not refused: ${JSON.stringify(schema)}`);
}

const inner = (schema: object) => ({ type: 'object', properties: { 'a/b': { items: schema } } });
const AT = '/properties/a~1b/items';

describe('schemas that cannot be enforced', () => {
  it.each([
    ['not', { not: { const: 1 } }],
    ['not', { not: { type: 'integer' } }],
    ['if', JSON.parse('{"if": {"type": "integer"}, "then": {"minimum": 3}}') as object],
    ['contains', { contains: { type: 'integer' } }],
    ['maxContains', { contains: {}, minContains: 0, maxContains: 2 }],
    ['uniqueItems', { type: 'array', uniqueItems: true }],
    ['unevaluatedItems', { allOf: [{ prefixItems: [{}] }], unevaluatedItems: false }],
    ['unevaluatedProperties', { anyOf: [{ properties: { a: {} } }], unevaluatedProperties: false }],
    ['$dynamicRef', { $dynamicRef: '#x' }],
    ['$recursiveRef', { $recursiveRef: '#' }],
    ['$ref', { $ref: 'https://elsewhere.test/schema' }],
    ['$ref', { $ref: '#name' }],
    ['multipleOf', { type: 'number', multipleOf: 0.1 }],
    ['multipleOf', { type: 'integer', multipleOf: 12345 }],
    ['pattern', { type: 'string', pattern: '(?=a)b' }],
    ['pattern', { type: 'string', pattern: '(a)\\1' }],
    ['pattern', { type: 'string', pattern: '\\bword\\b' }],
    ['format', { type: 'string', format: 'regex' }],
    ['oneOf', { oneOf: [{ type: 'integer' }, { type: 'number' }] }],
    ['oneOf', { oneOf: [{ required: ['a'] }, { required: ['b'] }] }],
    ['oneOf', { oneOf: [{}, {}] }],
    ['patternProperties', { patternProperties: Object.fromEntries([...'abcdef'].map((c) => [`^${c}`, {}])) }],
  ])('names %s and its place', (keyword, schema) => {
    expect(faultOf(inner(schema))).toEqual({ fault: 'unsupported', keyword, pointer: AT });
  });

  it.each([
    ['minLength', { minLength: '3' }],
    ['maxItems', { maxItems: -1 }],
    ['minimum', { minimum: '0' }],
    ['type', { type: 'float' }],
    ['enum', { enum: 'a' }],
    ['required', { required: [1] }],
    ['properties', { properties: [] }],
    ['anyOf', { anyOf: [] }],
    ['allOf', { allOf: {} }],
    ['pattern', { type: 'string', pattern: '(' }],
    ['multipleOf', { multipleOf: 0 }],
    ['$ref', { $ref: '#/$defs/missing' }],
    ['$ref', { $ref: 1 }],
    ['dependentRequired', { dependentRequired: [] }],
  ])('says that %s is malformed, and where', (keyword, schema) => {
    expect(faultOf(inner(schema))).toEqual({ fault: 'invalid', keyword, pointer: AT });
  });

  it('says where a schema is no schema', () => {
    expect(faultOf(inner({ items: 3 }))).toMatchObject({ fault: 'invalid', pointer: `${AT}/items` });
    expect(faultOf('text')).toMatchObject({ fault: 'invalid', pointer: '' });
    expect(faultOf(null)).toMatchObject({ fault: 'invalid', pointer: '' });
  });

  it.each([
    false,
    { enum: [] },
    { type: 'integer', minimum: 3, maximum: 2 },
    { type: 'string', minLength: 3, maxLength: 2 },
    { type: 'string', pattern: '^a$', minLength: 2 },
    { allOf: [{ type: 'string' }, { type: 'integer' }] },
    { const: 1, type: 'string' },
    { type: 'object', properties: { a: false }, required: ['a'] },
    { type: 'object', properties: { a: { $ref: '#' } }, required: ['a'] },
    { type: 'array', items: false, minItems: 1 },
    { type: 'object', minProperties: 2, maxProperties: 1 },
    {
      $ref: '#/$defs/a',
      $defs: { a: { $ref: '#/$defs/b' }, b: { type: 'array', items: { $ref: '#' }, minItems: 1 } },
    },
    { type: 'number', exclusiveMinimum: 1, exclusiveMaximum: 1 },
  ])('says that nothing fits %j', (schema) => {
    expect(faultOf(schema).fault).toBe('unsatisfiable');
  });
});

describe('hostile schemas', () => {
  const nested = (depth: number): object => (depth === 0 ? {} : { items: nested(depth - 1) });
  const wide = (count: number) => Array.from({ length: count }, (_, i) => ({ minLength: i }));
  const chain = Object.fromEntries(
    Array.from({ length: 3000 }, (_, i) => [`d${i}`, { items: { $ref: `#/$defs/d${i + 1}` } }]),
  );

  it.each([
    ['deep nesting', nested(500)],
    ['many bytes', { description: 'x'.repeat(200_000) }],
    [
      'products of choices',
      { type: 'string', allOf: Array.from({ length: 12 }, () => ({ anyOf: wide(8) })) },
    ],
    ['patterns that blow up', { type: 'string', pattern: '^(a|b)*a(a|b){30}$' }],
    ['counted patterns', { type: 'string', pattern: '^((a{0,99}b){0,99}c){0,99}$' }],
    ['huge bounds', { type: 'string', pattern: '^a*$', maxLength: 1_000_000_000 }],
    [
      'many intersections',
      {
        type: 'string',
        allOf: ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j', 'k', 'l', 'm', 'n', 'o'].map((c) => ({
          pattern: `${c}.*${c}`,
        })),
      },
    ],
    ['chains of references', { $ref: '#/$defs/d0', $defs: { ...chain, d3000: {} } }],
    [
      'references without end',
      {
        $ref: '#/$defs/a',
        $defs: { a: { allOf: [{ $ref: '#/$defs/a' }, { anyOf: wide(600) }] } },
        type: 'string',
      },
    ],
    [
      'many optional members',
      {
        type: 'object',
        minProperties: 900,
        maxProperties: 950,
        properties: Object.fromEntries(Array.from({ length: 1000 }, (_, i) => [`p${i}`, {}])),
      },
    ],
  ])('ends soon on %s', (_, schema) => {
    expect(faultOf(schema).fault).toMatch(/too_large|unsupported/);
  });

  it('does the same work for the same schema, whatever the time', () => {
    const limits = { ...DEFAULT_LIMITS, work: 5_000 };
    const schema = { type: 'string', pattern: '^(a|b|c){1,40}$' };
    expect(() => wishGrammar({ kind: 'json_schema', schema }, limits)).toThrow(/too laborious/);
    expect(wishGrammar({ kind: 'json_schema', schema })).toBe(wishGrammar({ kind: 'json_schema', schema }));
  });
});
