import { Ajv2020 } from 'ajv/dist/2020.js';
import formats from 'ajv-formats';
import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import type { StructureWish } from '#contracts/structure-wish.js';
import { acceptedOf, randomTexts } from '../../../test/support/grammars.js';
import { ENFORCED_FORMATS } from './schema/formats.js';
import { wishGrammar } from './wish-grammar.js';
import { REAL_SCHEMAS } from '../../../test/support/real-schemas.js';

// What is awaited is computed: a busy machine only takes longer.
vi.setConfig({ testTimeout: 300_000 });

const ajv = new Ajv2020({ strict: false, logger: false });
(formats as unknown as (ajv: Ajv2020) => void)(ajv);

async function expectTexts(wish: StructureWish, accepted: readonly string[], refused: readonly string[]) {
  const verdicts = await acceptedOf(wishGrammar(wish), [...accepted, ...refused]);
  expect(accepted.filter((_, i) => !verdicts[i])).toEqual([]);
  expect(refused.filter((_, i) => verdicts[accepted.length + i])).toEqual([]);
}

/** The same numbers each time. */
function seeded(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

describe('wishes', () => {
  it('keep any JSON object', async () => {
    await expectTexts(
      { kind: 'json_object' },
      ['{}', '{"a": [1, {"b": null}]}', '{\n  "é": "\\n"\n}'],
      ['[]', '1', '{', '{"a"}', '{"a":1}}', '{a:1}'],
    );
  });

  it('keep JSON without white space', async () => {
    const schema = { type: 'object', properties: { a: { type: 'array', items: {} } } };
    await expectTexts(
      { kind: 'json_schema', schema, compact: true },
      ['{"a":[1,{"b":"x y"}]}'],
      ['{"a": []}', '{ }'],
    );
  });

  it('bound the white space between tokens', async () => {
    const schema = { type: 'array', items: { type: 'integer' } };
    await expectTexts(
      { kind: 'json_schema', schema },
      ['[1, 2]', `[\n${' '.repeat(16)}1\n]`, '[\n\t\t1]'],
      ['[  1]', `[\n${' '.repeat(17)}1]`, '[1,\n\n2]', ' [1]', '[1] '],
    );
  });

  it('keep choices to the letter', async () => {
    await expectTexts(
      { kind: 'choice', choices: ['yes', 'no', 'né "x"\\', 'a', 'ab'] },
      ['yes', 'no', 'né "x"\\', 'a', 'ab'],
      ['y', 'yesno', 'b', 'Yes'],
    );
  });

  it.each([
    ['root ::= "a" b* | [x-z0]{2,3}\nb ::= "b" # comment\n', ['a', 'abb', 'xz', '0yz'], ['b', 'x', 'xxxx']],
    ['root ::= ("é" | [à-ü\\U0001F600])+ \'q\'', ['éq', 'àüq', '😀q'], ['q', 'þq', 'é']],
    ['root ::= [^a-y\\n] "\\n\\x41\\u00e9\\""', ['z\nAé"', '😀\nAé"'], ['a\nAé"', '\n\nAé"']],
    [
      'expr ::= term ("+" term)*\nterm ::= [0-9]+ | "(" expr ")"\nroot ::= expr',
      ['1+(2+3)', '12'],
      ['1+', '(1'],
    ],
    ['root ::= root "x" | "y"', ['y', 'yxx'], ['x']],
    ['root ::= "a"? "" ("b" | ) "c"', ['c', 'abc'], ['a']],
    ['root ::= \n  "a"\n  "b"\n\nother ::= "c"', ['ab'], ['a']],
    ['root ::= "a" | dead\ndead ::= "x" dead', ['a'], ['x']],
  ] as const)('keep a grammar: %s', async (grammar, accepted, refused) => {
    await expectTexts({ kind: 'grammar', grammar }, accepted, refused);
  });

  it.each([
    ['', /no rule "root"/],
    ['root ::= ', /./],
    ['root ::= "a', /line 1: a text does not end/],
    ['root ::= [a', /a class does not end/],
    ['root ::= ("a"', /expected "\)"/],
    ['root ::= "a")', /./],
    ['root ::= b', /rule "b" is not defined/],
    ['root ::= "a"\nroot ::= "b"', /line 2.*defined twice/],
    ['root ::= "a"{3,2}', /wrong order/],
    ['root ::= "a"{100000}', /repetitions/],
    ['root ::= "a"{x}', /expected \{m\}/],
    ['root ::= [z-a]', /wrong order/],
    ['root ::= "\\q"', /unknown escape/],
    ['root ::= "\\xzz"', /hexadecimal/],
    ['root ::= "a" (="b")', /look-ahead/],
    ['root ::= TagDispatch(("a", b))', /./],
    ['root ::= root "x"', /no value satisfies|nothing/],
    [`root ::= ${'('.repeat(1000)}"a"${')'.repeat(1000)}`, /nested too deeply/],
    ['root ::= "\\ud800"', /Unicode/],
  ])('refuse a grammar that is none: %s', (grammar, message) => {
    if (grammar === 'root ::= ') return expect(wishGrammar({ kind: 'grammar', grammar })).toContain('root');
    expect(() => wishGrammar({ kind: 'grammar', grammar })).toThrow(message);
  });

  const call = {
    begin: '<fn=a>',
    content: { type: 'json_schema', json_schema: { type: 'integer' } },
    end: '</fn>',
  } as const;
  const other = { begin: '<fn=b>', content: { type: 'any_text' }, end: '!' } as const;
  const tags = [{ type: 'tag', ...call } as const, { type: 'tag', ...other } as const];

  it('keep the formats of tags in free text', async () => {
    await expectTexts(
      { kind: 'structural_tag', format: { type: 'triggered_tags', triggers: ['<fn'], tags } },
      ['', 'free <f text é', '<fn=a>12</fn>', 'x<<fn=a>1</fn> and <fn=b>any </fn> text! <', '<<<f<fn=b>!'],
      ['<fn', '<fn=a>x</fn>', '<fn=c>1</fn>', 'a<fn=a>1', '<fn=b>x'],
    );
    const once = {
      type: 'triggered_tags',
      triggers: ['<fn'],
      tags,
      at_least_one: true,
      stop_after_first: true,
    } as const;
    await expectTexts(
      { kind: 'structural_tag', format: once },
      ['hm <fn=a>1</fn>'],
      ['', 'hm', '<fn=a>1</fn> '],
    );
  });

  it('keep sequences, alternatives and separated tags', async () => {
    const list = { type: 'tags_with_separator', tags, separator: '; ', at_least_one: true } as const;
    await expectTexts(
      {
        kind: 'structural_tag',
        format: { type: 'sequence', elements: [{ type: 'const_string', value: 'Say: ' }, list] },
      },
      ['Say: <fn=a>1</fn>', 'Say: <fn=b>x!; <fn=a>-3</fn>'],
      ['Say: ', 'Say: <fn=a>1</fn>; '],
    );
    const or = {
      type: 'or',
      elements: [
        { type: 'regex', pattern: 'a+' },
        { type: 'grammar', grammar: 'root ::= "b"' },
      ],
    } as const;
    await expectTexts({ kind: 'structural_tag', format: or }, ['aa', 'b'], ['ab', '']);
  });

  it('keep overlapping triggers apart as they come', async () => {
    const tag = (begin: string) =>
      ({ type: 'tag', begin, content: { type: 'regex', pattern: '\\d' }, end: '.' }) as const;
    const format = {
      type: 'triggered_tags',
      triggers: ['aab', 'ab'],
      tags: [tag('aab'), tag('abc')],
    } as const;
    await expectTexts(
      { kind: 'structural_tag', format },
      ['aaab1.', 'xabc1.', 'aabc1.', 'aac'],
      ['ab1.', 'aabd'],
    );
  });

  it('refuse a tag that no trigger begins', () => {
    const format = { type: 'triggered_tags', triggers: ['<x'], tags } as const;
    expect(() => wishGrammar({ kind: 'structural_tag', format })).toThrow(/no trigger begins "<fn=a>"/);
  });
});

describe('random answers', () => {
  it.each(Object.entries(REAL_SCHEMAS))('fit the schema, as ajv judges: %s', async (_, schema) => {
    const validate = ajv.compile(schema as object);
    const texts = await randomTexts(wishGrammar({ kind: 'json_schema', schema }), 12, seeded(7));
    for (const bytes of texts) {
      const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
      expect(validate(JSON.parse(text)), `${text} ${JSON.stringify(validate.errors)}`).toBe(true);
    }
  });

  it.each(ENFORCED_FORMATS.filter((format) => format in ajv.formats))(
    'are of the format %s',
    async (format) => {
      const schema = { type: 'string', format };
      const validate = ajv.compile(schema);
      for (const bytes of await randomTexts(wishGrammar({ kind: 'json_schema', schema }), 25, seeded(5)))
        expect(validate(JSON.parse(bytes.toString())), bytes.toString()).toBe(true);
    },
  );

  it('fit any range of numbers, as ajv judges', async () => {
    const bound = fc.oneof(
      fc.integer({ min: -120, max: 120 }),
      fc.integer({ min: -1200, max: 1200 }).map((n) => n / 100),
      fc.constantFrom(0, -0, 1e-7, 1e21, 0.1 + 0.2, -1e5),
    );
    const range = fc.record(
      {
        type: fc.constantFrom('integer', 'number'),
        minimum: bound,
        maximum: bound,
        exclusiveMinimum: bound,
        exclusiveMaximum: bound,
        multipleOf: fc.constantFrom(1, 2, 3, 10),
      },
      { requiredKeys: ['type'] },
    );
    const all = fc.assert(
      fc.asyncProperty(range, fc.array(bound, { minLength: 20, maxLength: 20 }), async (schema, numbers) => {
        const validate = ajv.compile(schema);
        const texts = numbers.map((n) => JSON.stringify(n)).filter((text) => !/e/.test(text));
        let grammar: string;
        try {
          grammar = wishGrammar({ kind: 'json_schema', schema });
        } catch {
          return !texts.some((text) => validate(JSON.parse(text)) && !text.includes('e'));
        }
        const verdicts = await acceptedOf(grammar, texts);
        const isRight = texts.every((text, i) => verdicts[i] === validate(JSON.parse(text)));
        const random = await randomTexts(grammar, 3, seeded(numbers.length));
        return isRight && random.every((bytes) => validate(JSON.parse(bytes.toString())));
      }),
      { numRuns: 60, seed: 3 },
    );
    await expect(all).resolves.toBeUndefined();
  });
});
