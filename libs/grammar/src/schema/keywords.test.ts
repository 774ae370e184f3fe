import { Ajv2020 } from 'ajv/dist/2020.js';
import formats from 'ajv-formats';
import { describe, expect, it, vi } from 'vitest';
import { acceptedOf } from '../../../../test/support/grammars.js';
import { wishGrammar } from '../wish-grammar.js';

// What is awaited is computed: a busy machine only takes longer.
vi.setConfig({ testTimeout: 300_000 });

const ajv = new Ajv2020({ strict: false, logger: false });
(formats as unknown as (ajv: Ajv2020) => void)(ajv);

/** Values of all kinds: whatever of them a grammar accepts must be valid. */
const POOL: readonly string[] = [
  'null',
  'true',
  'false',
  '0',
  '-0',
  '1',
  '-1',
  '2',
  '3',
  '7',
  '10',
  '12',
  '100',
  '-5',
  '-6',
  '1.5',
  '0.5',
  '0.1',
  '1.0',
  '2.25',
  '1e2',
  '1E-2',
  '12345678901234567890',
  '""',
  '"a"',
  '"ab"',
  '"abc"',
  '"b"',
  '"é"',
  '"\\u00e9"',
  '"😀"',
  '"\\ud83d\\ude00"',
  '"\\""',
  '"\\n"',
  '"a\\\\b"',
  '"x1"',
  '"2024-02-29"',
  '"2023-02-29"',
  '[]',
  '[1]',
  '["a"]',
  '[1,2]',
  '[1, "a"]',
  '[1,"a",true]',
  '[1,1]',
  '[[]]',
  '[null]',
  '{}',
  '{"a":1}',
  '{"a":"x"}',
  '{"b":1}',
  '{"a":1,"b":"x"}',
  '{"b":"x","a":1}',
  '{"a":1,"b":"x","c":null}',
  '{"\\u0061":"x"}',
  '{"a":1,"a":"x"}',
  '{"a":{"a":{"a":1}}}',
  '{"x1":1}',
  '{"x1":"a"}',
  '{"":0}',
  '{"__proto__":1}',
  '{"a": 1 ,\n  "b": "x"}',
  '{"kind":"cat","lives":9}',
  '{"kind":"dog","name":"Rex"}',
  '01',
  '1.',
  '.5',
  '+1',
  '"\t"',
  "'a'",
  '{a:1}',
  '[1,]',
]; // prettier-ignore

/** [schema, texts that it must accept, texts that it must refuse] */
type Case = readonly [schema: unknown, accepted: readonly string[], refused: readonly string[]];

const object = (properties: object, more: object = {}) => ({ type: 'object', properties, ...more });

const CASES: Readonly<Record<string, readonly Case[]>> = {
  type: [
    [{}, ['1', '"a"', 'null', '[1, 2]', '{"a": {"b": []}}', '{\n  "a": 1\n}', '-0.5e+3', 'true'], ['']],
    [true, ['1', '{"a":[]}'], []],
    [{ type: 'string' }, ['""', '"é\\n\\u00e9\\ud83d\\ude00/\\/"'], ['"\\ud83d"', '"\\x"']],
    [{ type: ['string', 'null'] }, ['"a"', 'null'], ['1']],
    [{ type: 'integer' }, ['0', '-12', '9007199254740993'], ['1.5', '1.0', '01', '-', '-0x']],
    [{ type: 'number' }, ['0', '-1', '1.5', '1e5', '-0.5E-3'], ['01', '1.', '.5']],
    [{ type: ['integer', 'string'] }, ['1', '"a"'], ['1.5']],
  ],
  enum: [
    [
      { enum: [1, 'a"', null, { x: [1, 'é'] }, [1, 2]] },
      ['1', '"a\\""', 'null', '{"x": [1, "é"]}', '[1,2]'],
      ['2', '"b"'],
    ],
    [{ type: 'string', enum: ['a', 1] }, ['"a"'], ['1']],
    [{ enum: [1, 2, 3], minimum: 2, not: { const: 3 } }, ['2'], ['1', '3']],
    [{ enum: ['a', 'abc', 'b'], pattern: '^a', maxLength: 2 }, ['"a"'], ['"abc"', '"b"']],
    [
      {
        enum: [
          [1, 1],
          [1, 2],
        ],
        uniqueItems: true,
      },
      ['[1,2]'],
      ['[1,1]'],
    ],
    [{ enum: [{ a: 1 }, { b: 2 }], required: ['a'] }, ['{"a":1}'], ['{"b":2}']],
  ],
  const: [
    [{ const: 'x' }, ['"x"'], ['"y"']],
    [{ const: { a: [1, {}] } }, ['{"a":[1,{}]}', '{"a": [1, {}]}'], ['{"a":[2,{}]}']],
    [{ const: 1.5 }, ['1.5'], ['1']],
  ],
  minLength: [
    [{ type: 'string', minLength: 2 }, ['"ab"', '"éé"', '"\\n\\u00e9"', '"😀a"'], ['"a"', '"😀"', '"\\n"']],
  ],
  maxLength: [
    [{ type: 'string', maxLength: 2 }, ['""', '"éé"', '"\\ud83d\\ude00a"'], ['"abc"', '"\\n\\n\\n"']],
    [{ maxLength: 1 }, ['1', '"a"', '[]'], ['"ab"']],
  ],
  pattern: [
    [{ type: 'string', pattern: '^a+$' }, ['"a"', '"aaa"'], ['"b"', '"ab"', '""']],
    [{ type: 'string', pattern: 'a+' }, ['"xay"', '"é\\na"'], ['"b"']],
    [{ type: 'string', pattern: '^\\d{3}-[A-Z]{2}$' }, ['"123-AB"'], ['"12-AB"', '"123-ab"']],
    [{ type: 'string', pattern: '^(a|b)\\w*$' }, ['"a_1"', '"b"'], ['"c"', '"a-"']],
    [{ type: 'string', pattern: '^[^"]*$' }, ['"abc"', '"é\\\\"'], ['"a\\"b"', '"\\u0022"']],
    [{ type: 'string', pattern: '^.*$' }, ['"abc"', '"a\\"b"'], ['"a\\nb"', '"\\u2028"']],
    [{ type: 'string', pattern: '^a+$', minLength: 2, maxLength: 3 }, ['"aa"', '"aaa"'], ['"a"', '"aaaa"']],
    [{ type: 'string', pattern: '^\\p{L}+$' }, ['"aéß"'], ['"1"']],
    [{ type: 'string', pattern: '^[^\\s]{1,4}$' }, ['"aé/\\/"'], ['" "', '"\\u00a0"', '"\\t"']],
    [{ allOf: [{ pattern: 'a' }, { pattern: 'b' }], type: 'string' }, ['"ab"', '"b-a"'], ['"a"', '"b"']],
  ],
  format: [
    [
      { type: 'string', format: 'date' },
      ['"2024-02-29"', '"2000-02-29"', '"2023-12-31"'],
      ['"2023-02-29"', '"1900-02-29"', '"2024-04-31"', '"2024-13-01"'],
    ],
    [
      { type: 'string', format: 'time' },
      ['"10:00:00Z"', '"23:59:59.5+01:00"'],
      ['"25:00:00Z"', '"10:00:00"'],
    ],
    [
      { type: 'string', format: 'date-time' },
      ['"2024-02-28T10:00:00Z"'],
      ['"2024-02-30T10:00:00Z"', '"2024-02-28 10:00:00Z"'],
    ],
    [
      { type: 'string', format: 'email' },
      ['"a.b+c@x-y.co"'],
      ['"a"', '"a@"', '"@b"', '"a@@b"', '"a..b@c.de"'],
    ],
    [{ type: 'string', format: 'uuid' }, ['"123e4567-e89b-12d3-a456-426614174000"'], ['"123e4567"']],
    [
      { type: 'string', format: 'ipv4' },
      ['"1.2.3.4"', '"255.249.0.10"'],
      ['"256.1.1.1"', '"1.2.3"', '"01.2.3.4"'],
    ],
    [
      { type: 'string', format: 'ipv6' },
      ['"::"', '"::1"', '"2001:db8::1"', '"1:2:3:4:5:6:7:8"', '"1::"'],
      ['"1:2"', '":::"', '"1::2::3"', '"12345::"'],
    ],
    [{ type: 'string', format: 'hostname' }, ['"example.com"', '"a-b"'], ['"-a"', '"a..b"', '"a_b"']],
    [
      { type: 'string', format: 'uri' },
      ['"https://example.com/a%20b?x=1#y"', '"http://a:80"'],
      ['"example.com"', '"https://a/ b"', '"http://a/%zz"'],
    ],
    [
      { type: 'string', format: 'duration' },
      ['"P3D"', '"PT1H2M"', '"P1Y2M3DT4H"', '"P2W"'],
      ['"P"', '"PT"', '"1D"', '"P1S"'],
    ],
    [{ type: 'string', format: 'json-pointer' }, ['""', '"/a~1b/0"'], ['"a"', '"/~2"']],
    [
      { type: 'string', format: 'date', pattern: '^2024-', maxLength: 10 },
      ['"2024-02-29"'],
      ['"2023-01-01"'],
    ],
    [{ type: 'string', format: 'of-my-own' }, ['"whatever"'], ['1']],
    [{ format: 'date' }, ['1', '"2024-01-01"'], ['"x"']],
    [{ type: 'integer', format: 'int32' }, ['2147483647', '-2147483648'], ['2147483648', '-2147483649']],
  ],
  minimum: [
    [{ type: 'integer', minimum: -5 }, ['-5', '-1', '0', '100'], ['-6', '-10', '-05']],
    [{ type: 'integer', minimum: 3 }, ['3', '10', '4000000000'], ['2', '-3', '0']],
    [
      { type: 'number', minimum: 1.25 },
      ['1.25', '1.3', '9', '10', '1.250'],
      ['1.2', '1.249', '0', '-2', '1'],
    ],
    [{ minimum: 3 }, ['3', '"a"'], ['2']],
    [{ type: 'integer', minimum: 1e22 }, ['10000000000000000000000'], ['9999999999999999999999']],
    [{ type: 'integer', minimum: 0.5 }, ['1'], ['0']],
  ],
  maximum: [
    [{ type: 'integer', minimum: 3, maximum: 12 }, ['3', '7', '10', '12'], ['2', '13', '-3', '30', '1']],
    [
      { type: 'number', minimum: 0, maximum: 1 },
      ['0', '1', '0.5', '1.0', '0.0'],
      ['1.1', '-0.1', '2', '1.01', '10'],
    ],
    [{ type: 'integer', minimum: 0, maximum: 0 }, ['0'], ['1', '-1', '00']],
    [{ type: 'integer', maximum: -7 }, ['-7', '-10', '-70'], ['-6', '0', '7']],
    [{ type: 'number', maximum: -0.5 }, ['-0.5', '-3', '-0.51'], ['-0.4', '0', '0.5', '-0']],
  ],
  exclusiveMinimum: [
    [{ type: 'number', exclusiveMinimum: 0 }, ['0.1', '5', '0.0001'], ['0', '-1', '0.0', '-0.1']],
    [{ type: 'integer', exclusiveMinimum: 3, exclusiveMaximum: 12 }, ['4', '11'], ['3', '12']],
  ],
  exclusiveMaximum: [
    [
      { type: 'number', minimum: -1.5, exclusiveMaximum: 2.25 },
      ['-1.5', '-1.4', '0', '2.24', '2', '1.999'],
      ['-1.51', '2.25', '2.3', '-2', '2.250'],
    ],
    [{ type: 'number', exclusiveMaximum: 1 }, ['0.999', '-5'], ['1', '1.0', '0.99999999999999999999']],
  ],
  multipleOf: [
    [{ type: 'integer', multipleOf: 7 }, ['0', '7', '-14', '21'], ['1', '8', '-6']],
    [{ type: 'number', multipleOf: 100, minimum: 1 }, ['100', '12300'], ['0', '50', '150', '-100']],
    [{ allOf: [{ multipleOf: 4 }, { multipleOf: 6 }], type: 'number' }, ['12', '-24'], ['4', '6', '8']],
  ],
  prefixItems: [
    [
      { type: 'array', prefixItems: [{ type: 'integer' }, { type: 'string' }] },
      ['[]', '[1]', '[1,"a"]', '[1, "a", true]'],
      ['["a"]', '[1,2]'],
    ],
    [{ type: 'array', prefixItems: [{ type: 'integer' }], items: false }, ['[]', '[1]'], ['[1,2]']],
    [
      { type: 'array', prefixItems: [{ type: 'integer' }], items: { type: 'string' }, minItems: 2 },
      ['[1,"a"]', '[1,"a","b"]'],
      ['[1]', '[1,2]'],
    ],
  ],
  items: [
    [{ type: 'array', items: { type: 'integer' } }, ['[]', '[1]', '[ 1 , 2]'], ['["a"]', '[1,]']],
    [{ items: { type: 'integer' } }, ['[1]', '5'], ['["a"]']],
    [{ type: 'array', items: false }, ['[]'], ['[1]']],
  ],
  minItems: [[{ type: 'array', minItems: 2 }, ['[1,"a"]'], ['[]', '[1]']]],
  maxItems: [
    [
      { type: 'array', items: { type: 'integer' }, minItems: 1, maxItems: 2 },
      ['[1]', '[1,2]'],
      ['[]', '[1,2,3]'],
    ],
    [{ type: 'array', maxItems: 0 }, ['[]'], ['[1]']],
    [{ type: 'array', maxItems: 1, uniqueItems: true }, ['[1]'], ['[1,1]']],
  ],
  properties: [
    [
      object({ a: { type: 'integer' } }, { additionalProperties: true }),
      ['{}', '{"a":1}', '{"a":1,"b":2}', '{"b":2}', '{"":1}', '{"ab":1}'],
      ['{"a":"x"}', '{"b":1,"a":"x"}', '{"\\u0061":"x"}'],
    ],
    [{ properties: { a: { type: 'integer' } } }, ['{"a":1}', '5'], ['{"a":"x"}']],
    [
      object(
        { a: { type: 'integer' }, 'é"\\': { type: 'integer' } },
        { required: ['é"\\'], additionalProperties: false },
      ),
      ['{"a":1,"é\\"\\\\":1}'],
      ['{"a":1}'],
    ],
    [object({ a: false, b: {} }), ['{"b":1}', '{}'], ['{"a":1}']],
  ],
  required: [
    [
      object(
        { a: { type: 'integer' }, b: { type: 'string' } },
        { required: ['b'], additionalProperties: {} },
      ),
      ['{"b": "x"}', '{"a":1,"b":"x"}', '{"a":1,"b":"x","c":3,"ab":null}'],
      ['{"a":1}', '{}', '{"b":"x","\\u0061":"y"}'],
    ],
    [{ type: 'object', required: ['q'] }, ['{"q":1}', '{ "q":[1]}'], ['{}', '{"r":1}']],
    [{ required: ['a'] }, ['{"a":1}', '5'], ['{}']],
  ],
  additionalProperties: [
    [
      object({ a: { type: 'integer' }, b: { type: 'string' } }, { additionalProperties: false }),
      ['{}', '{"a":1}', '{"b":"x"}', '{"a":1, "b":"x"}'],
      ['{"c":1}', '{"a":1,}'],
    ],
    [
      { type: 'object', additionalProperties: { type: 'integer' } },
      ['{}', '{"x":1}', '{"x":1,"y":2}'],
      ['{"x":"a"}'],
    ],
    [
      object({ a: { type: 'string' } }, { additionalProperties: { type: 'integer' } }),
      ['{"a":"x","z":1}'],
      ['{"z":"a"}', '{"z":1,"a":2}'],
    ],
    [object({}, { additionalProperties: false }), ['{}'], ['{"a":1}']],
    [
      object({ a: {} }, { additionalProperties: { type: 'integer' }, required: ['z'] }),
      ['{"z":1}'],
      ['{"z":"a"}', '{"a":1}'],
    ],
  ],
  patternProperties: [
    [
      { type: 'object', patternProperties: { '^x': { type: 'integer' } } },
      ['{"x1":1}', '{"y":"a","x":2}'],
      ['{"x1":"a"}'],
    ],
    [
      { type: 'object', patternProperties: { '^x': { type: 'integer' } }, additionalProperties: false },
      ['{"x1":1}', '{}'],
      ['{"x1":"a"}', '{"y":1}'],
    ],
    [
      object(
        { xa: { minimum: 5 } },
        { patternProperties: { '^x': { type: 'integer' }, b$: { maximum: 3 } } },
      ),
      ['{"xa":7,"xb":2,"b":null}'],
      ['{"xa":4}', '{"xa":"s"}', '{"xb":4}', '{"xb":"s"}'],
    ],
  ],
  propertyNames: [
    [{ type: 'object', propertyNames: { pattern: '^a' } }, ['{"a":1}', '{}'], ['{"b":1}']],
    [object({ abc: {}, b: {} }, { propertyNames: { maxLength: 2 } }), ['{"b":1,"xy":2}'], ['{"abc":1}']],
    [
      { type: 'object', propertyNames: { enum: ['a', 'b', 1] }, additionalProperties: { type: 'integer' } },
      ['{"a":1}', '{"a":1,"b":2}'],
      ['{"c":1}'],
    ],
    [
      { type: 'object', propertyNames: { anyOf: [{ const: 'a' }, { minLength: 3 }] } },
      ['{"a":1,"xyz":1}'],
      ['{"b":1}'],
    ],
  ],
  minProperties: [
    [{ type: 'object', minProperties: 1 }, ['{"a":1}', '{"a":1,"b":2}'], ['{}']],
    [
      object({ a: {}, b: {}, c: {} }, { minProperties: 2 }),
      ['{"a":1,"c":1}'],
      ['{}', '{"a":1}', '{"z":1,"z":2}'],
    ],
  ],
  maxProperties: [
    [{ type: 'object', maxProperties: 1 }, ['{}', '{"a":1}'], ['{"a":1,"b":2}']],
    [
      object({ a: {}, b: {}, c: {} }, { minProperties: 1, maxProperties: 2, additionalProperties: false }),
      ['{"a":1}', '{"a":1,"c":1}', '{"b":1,"c":1}'],
      ['{}', '{"a":1,"b":1,"c":1}'],
    ],
    [{ type: 'object', maxProperties: 0 }, ['{}'], ['{"a":1}']],
  ],
  $ref: [
    [
      {
        $defs: { n: object({ next: { $ref: '#/$defs/n' } }, { additionalProperties: false }) },
        $ref: '#/$defs/n',
      },
      ['{}', '{"next":{"next":{}}}'],
      ['{"next":1}'],
    ],
    [{ type: 'array', items: { $ref: '#' } }, ['[]', '[[], [[]]]'], ['[1]']],
    [{ definitions: { 'a/b~c': { type: 'integer' } }, $ref: '#/definitions/a~1b~0c' }, ['1'], ['"a"']],
    [{ $ref: '#/$defs/a', minimum: 3, $defs: { a: { type: 'integer' } } }, ['3'], ['2']],
    [
      { $id: 'https://a.test/s', $ref: 'https://a.test/s#/$defs/a', $defs: { a: { const: 1 } } },
      ['1'],
      ['2'],
    ],
  ],
  allOf: [
    [{ allOf: [{ type: 'integer' }, { minimum: 3 }] }, ['3'], ['2', '"a"']],
    [
      {
        allOf: [
          object({ a: { type: 'integer' } }, { required: ['a'] }),
          object({ a: { maximum: 5 }, b: { type: 'integer' } }, { required: ['b'] }),
        ],
      },
      ['{"a":1,"b":1}'],
      ['{"a":1}', '{"b":1}', '{"a":6,"b":1}'],
    ],
    [
      { allOf: [object({ a: {} }, { additionalProperties: { type: 'integer' } }), object({ b: {} })] },
      ['{"a":"x","b":1}'],
      ['{"b":"x"}', '{"c":"x"}'],
    ],
  ],
  anyOf: [
    [{ anyOf: [{ type: 'integer' }, { type: 'string' }] }, ['1', '"a"'], ['true']],
    [
      object({ a: { type: 'integer' } }, { anyOf: [{ required: ['a'] }, { required: ['b'] }] }),
      ['{"a":1}', '{"b":1}', '{"a":1,"b":1}'],
      ['{}', '{"a":"x","b":1}'],
    ],
    [{ type: 'string', anyOf: [{ minLength: 3 }, { const: 'a' }] }, ['"abc"', '"a"'], ['"b"', '1']],
    [
      {
        anyOf: [{ $ref: '#/$defs/a' }, { type: 'null' }],
        $defs: { a: { type: 'array', items: { $ref: '#' } } },
      },
      ['null', '[null, [[]]]'],
      ['1'],
    ],
  ],
  oneOf: [
    [{ oneOf: [{ type: 'integer' }, { type: 'string' }] }, ['1', '"a"'], ['1.5']],
    [
      {
        oneOf: [
          object({ kind: { const: 'cat' }, lives: { type: 'integer' } }, { required: ['kind', 'lives'] }),
          object({ kind: { const: 'dog' } }, { required: ['kind'] }),
        ],
      },
      ['{"kind":"cat","lives":9}', '{"kind":"dog"}'],
      ['{"kind":"cat"}', '{"kind":"cow"}'],
    ],
    [
      {
        type: 'object',
        required: ['t'],
        oneOf: [{ properties: { t: { enum: ['a', 'b'] } } }, { properties: { t: { const: 'c' } } }],
      },
      ['{"t":"a"}', '{"t":"c"}'],
      ['{"t":"d"}', '{}'],
    ],
    [
      {
        oneOf: [
          { type: 'integer', maximum: 3 },
          { type: 'integer', minimum: 4 },
        ],
      },
      ['3', '4'],
      ['1.5'],
    ],
    [
      {
        oneOf: [
          { type: 'string', pattern: '^a' },
          { type: 'string', pattern: '^b' },
        ],
      },
      ['"ax"', '"b"'],
      ['"c"'],
    ],
    [
      {
        oneOf: [
          object({ a: {} }, { additionalProperties: false, required: ['a'] }),
          object({ b: {} }, { required: ['b'] }),
        ],
      },
      ['{"a":1}', '{"b":1}'],
      ['{}'],
    ],
  ],
  additionalItems: [
    [
      { type: 'array', items: [{ type: 'integer' }], additionalItems: false },
      ['[]', '[1]'],
      ['[1,2]', '["a"]'],
    ],
    [
      { type: 'array', items: [{ type: 'integer' }], additionalItems: { type: 'string' } },
      ['[1,"a"]'],
      ['[1,2]'],
    ],
  ],
  dependentRequired: [
    [
      object({ a: {}, b: {} }, { dependentRequired: { a: ['b'] } }),
      ['{}', '{"b":1}', '{"a":1,"b":1}'],
      ['{"a":1}', '{"a":1,"c":1}'],
    ],
  ],
  dependentSchemas: [
    [
      object(
        { a: {}, b: {} },
        { dependentSchemas: { a: { properties: { b: { type: 'integer' } }, required: ['b'] } } },
      ),
      ['{"b":"x"}', '{"a":1,"b":1}'],
      ['{"a":1}', '{"a":1,"b":"x"}'],
    ],
  ],
  dependencies: [
    [object({ a: {}, b: {} }, { dependencies: { a: ['b'] } }), ['{}', '{"a":1,"b":1}'], ['{"a":1}']],
  ],
  not: [
    [{ not: { type: ['array', 'object'] } }, ['1', '"a"'], ['[]', '{}']],
    [{ not: false, type: 'null' }, ['null'], []],
  ],
  unevaluatedProperties: [
    [object({ a: { type: 'integer' } }, { unevaluatedProperties: false }), ['{"a":1}'], ['{"b":1}']],
  ],
  unevaluatedItems: [
    [{ type: 'array', prefixItems: [{}], unevaluatedItems: { type: 'string' } }, ['[1,"a"]'], ['[1,2]']],
  ],
  ignored: [
    [
      object(
        { a: { type: 'integer', default: 3, title: 'x', examples: [1], 'x-of-mine': 1, nullable: true } },
        { $schema: 'http://json-schema.org/draft-07/schema#' },
      ),
      ['{"a":1}'],
      ['{"a":null}'],
    ],
    [{ type: 'string', uniqueItems: true, contains: {}, unevaluatedItems: false }, ['"a"'], ['[]']],
    [{ type: 'integer', if: { minimum: 3 } }, ['1'], []],
  ],
};

describe('JSON Schema keywords', () => {
  it.each(Object.entries(CASES))('keeps %s, as ajv judges', async (_, cases) => {
    for (const each of cases) await expectCase(each);
  });
});

/** ajv knows a list in `items`, `additionalItems` and `dependencies` in draft 7 only, where it checks the same. */
function withoutDraft(schema: unknown): unknown {
  if (typeof schema !== 'object' || schema === null) return schema;
  const { $schema: _, items, additionalItems, ...rest } = schema as Record<string, unknown>;
  if (!Array.isArray(items)) return items === undefined ? rest : { ...rest, items };
  return { ...rest, prefixItems: items, ...(additionalItems !== undefined && { items: additionalItems }) };
}

function isValid(validate: (value: unknown) => boolean, text: string): boolean {
  try {
    return validate(JSON.parse(text));
  } catch {
    return false;
  }
}

async function expectCase([schema, accepted, refused]: Case): Promise<void> {
  const validate = ajv.compile(withoutDraft(schema) as object);
  const texts = [...accepted, ...refused, ...POOL];
  const verdicts = await acceptedOf(wishGrammar({ kind: 'json_schema', schema }), texts);
  const taken = texts.filter((_, i) => verdicts[i]);
  const note = JSON.stringify(schema);
  expect(
    taken.filter((text) => !isValid(validate, text)),
    note,
  ).toEqual([]);
  expect(
    accepted.filter((text) => !taken.includes(text)),
    note,
  ).toEqual([]);
  expect(
    refused.filter((text) => taken.includes(text)),
    note,
  ).toEqual([]);
}
