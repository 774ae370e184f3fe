import { Ajv2020 } from 'ajv/dist/2020.js';
import { describe, expect, it, vi } from 'vitest';
import type { AnswerFormats } from '#contracts/chat-formats.js';
import type { GenerateRequest, WishedCalls } from '#contracts/engine-protocol.js';
import { wishGrammar } from '#grammar/wish-grammar.js';
import { readerOf } from '#inference/calls/answer-reader.js';
import { joined, type Said } from '#inference/calls/reader.js';
import { randomTexts } from '../../../../test/support/grammars.js';
import { answerForm } from './answer-form.js';

// What is awaited is computed: a busy machine only takes longer.
vi.setConfig({ testTimeout: 120_000 });

const ajv = new Ajv2020({ strict: false });
const WEATHER = {
  type: 'object',
  properties: { city: { type: 'string', maxLength: 5 }, days: { type: 'integer', minimum: 1, maximum: 9 } },
  required: ['city', 'days'],
  additionalProperties: false,
};
const SCHEMAS = new Map<string, object>([
  ['weather', WEATHER],
  ['now', { type: 'object' }],
]);
const TOOLS: WishedCalls['tools'] = [...SCHEMAS].map(([name, schema], at) => ({
  name,
  schema,
  strict: true,
  field: `tools[${at}].function.parameters`,
}));

/** Always the same sequence for the same seed. */
function randomOf(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

/** As tokens of their own, as models have them. */
const MARKS = [
  '</think>',
  '[/THINK]',
  '<|end|>',
  '<tool_call>',
  '[TOOL_CALLS]',
  '<|channel|>commentary to=',
  '<escape>',
  '<|"|>',
  '<end_function_call>',
];

interface Read {
  readonly calls: readonly { readonly name: string; readonly text: string }[];
  readonly content: string;
  readonly reasoning: string;
}

function read(text: string, formats: AnswerFormats): Read {
  const reader = readerOf(formats, { tools: new Set(SCHEMAS.keys()), includeReasoning: true });
  const said: Said[] = joined([...reader.push(text), ...reader.end()]);
  const calls: { name: string; text: string }[] = [];
  let [content, reasoning] = ['', ''];
  for (const piece of said) {
    if (piece.kind === 'call') calls.push({ name: piece.name, text: '' });
    else if (piece.kind === 'content') content += piece.text;
    else if (piece.kind === 'reasoning') reasoning += piece.text;
    else (calls.at(-1) as { text: string }).text += piece.text;
  }
  return { calls, content, reasoning };
}

const chat = (source: string) => ({ text: '', source, own: false, continues: false });
const asked = (calls: WishedCalls, structure?: GenerateRequest['structure']) => ({ calls, structure });

async function answers(
  wished: Pick<GenerateRequest, 'structure' | 'calls'>,
  { source, ...formats }: AnswerFormats & { readonly source: string },
): Promise<Read[]> {
  const form = answerForm(wished, formats, chat(source));
  if (form === undefined) throw new Error('the answer may be any');
  const texts = await randomTexts(wishGrammar({ ...form.wish, compact: true }), 12, randomOf(7), MARKS);
  return texts.map((text) => read(text.toString(), formats));
}

const FAMILIES: readonly (AnswerFormats & { readonly source: string })[] = [
  { tools: 'hermes', source: '<tool_call>' },
  { tools: 'hermes', reasoning: 'think', source: '<tool_call></think>' },
  { tools: 'hermes', reasoning: 'think', reasoningOpen: true, source: '<tool_call></think>' },
  { tools: 'mistral', source: '[TOOL_CALLS]' },
  { tools: 'mistral', reasoning: 'mistral', source: '[TOOL_CALLS] [ARGS] [THINK]' },
  { tools: 'llama3_json', source: 'ipython' },
  { tools: 'phi', source: 'functools' },
  { tools: 'phi', source: '<|tool_call|>' },
  { tools: 'harmony', reasoning: 'harmony', source: '<|channel|>' },
  { tools: 'pythonic', source: 'func_name1(' },
  { tools: 'gemma', source: '<start_function_call>' },
  { tools: 'gemma', source: '<|tool_call>' },
];

function expectValid({ calls }: Read): void {
  for (const { name, text } of calls) {
    expect([...SCHEMAS.keys()]).toContain(name);
    expect(ajv.validate(SCHEMAS.get(name) as object, JSON.parse(text)), text).toBe(true);
  }
}

describe.each(FAMILIES)('calls in the form of $tools ($source)', (family) => {
  it('are all that a forced answer is, and fit their schemas', async () => {
    const all = await answers(asked({ tools: TOOLS, required: true, parallel: true }), family);
    for (const answer of all) {
      expect(answer.content.trim()).toBe('');
      expect(answer.calls.length).toBeGreaterThan(0);
      expectValid(answer);
    }
  });

  it('are one where one is wanted', async () => {
    const [weather] = TOOLS as [WishedCalls['tools'][number]];
    for (const { calls } of await answers(
      asked({ tools: [weather], required: true, parallel: false }),
      family,
    ))
      expect(calls.map(({ name }) => name)).toEqual(['weather']);
  });

  it('stand beside a structure: either one or the other', async () => {
    const wish = { kind: 'json_schema', schema: { type: 'integer', minimum: 0, maximum: 99 } } as const;
    const structure = { wish, field: 'response_format' };
    const all = await answers(asked({ tools: TOOLS, required: false, parallel: false }, structure), family);
    for (const answer of all) {
      expectValid(answer);
      if (answer.calls.length === 0) expect(answer.content).toMatch(/^\d{1,2}$/);
      else expect(answer.content.trim()).toBe('');
    }
    const forced = await answers(asked({ tools: TOOLS, required: true, parallel: false }, structure), family);
    for (const { calls } of forced) expect(calls.length).toBe(1);
  });

  it('that are strict fit their schemas wherever the model makes them', async () => {
    const strict = asked({ tools: TOOLS, required: false, parallel: true });
    for (const answer of await answers(strict, family)) expectValid(answer);
  });
});

describe('calls in a form that is not JSON', () => {
  const forced = (
    name: string,
    schema: object,
    { source, ...formats }: AnswerFormats & { source: string },
  ) => {
    const tool = { name, schema, strict: true, field: 'tools[0].function.parameters' };
    const wished = asked({ tools: [tool], required: true, parallel: false });
    return () => wishGrammar(answerForm(wished, formats, chat(source))?.wish as never);
  };
  const PYTHONIC = { tools: 'pythonic', source: 'func_name1(' } as const;
  const GEMMA = { tools: 'gemma', source: '<start_function_call>' } as const;

  it.each([PYTHONIC, GEMMA])('is refused for a tool whose name has no place in it: $tools', (family) => {
    expect(forced('7up', {}, family)).toThrow(/tools\[0\]\.function\.name: the name "7up" cannot be written/);
  });

  it('refuses a member that is no name of an argument', () => {
    const schema = { type: 'object', properties: { 'a b': { type: 'string' } } };
    expect(forced('now', schema, PYTHONIC)).toThrow(/"a b" cannot be the name of an argument/);
    expect(forced('now', schema, GEMMA)).not.toThrow();
  });

  it('spells every kind of value so that it is read back', async () => {
    const schema = {
      type: 'object',
      properties: {
        text: { type: 'string' },
        short: { type: 'string', minLength: 1, maxLength: 80 },
        pattern: { type: 'string', pattern: '^[a-z<"\\\\]{1,4}$' },
        kind: { enum: [null, true, 'a "b" \\ é', 7, ['x', false], { k: [null] }] },
        flags: { type: 'array', items: { type: 'boolean' }, maxItems: 2 },
        nested: { type: 'object', properties: { "it's": { type: ['null', 'number'] } }, required: ["it's"] },
        any: {},
      },
      required: ['text', 'short', 'pattern', 'kind', 'flags', 'nested'],
      additionalProperties: { type: 'integer' },
    };
    for (const family of [PYTHONIC, GEMMA]) {
      const texts = await randomTexts(forced('now', schema, family)(), 25, randomOf(11), MARKS);
      for (const text of texts) {
        const { calls } = read(text.toString(), family);
        expect(
          calls.map(({ name }) => name),
          text.toString(),
        ).toEqual(['now']);
        expect(ajv.validate(schema, JSON.parse(calls[0]?.text ?? '')), text.toString()).toBe(true);
      }
    }
  });
});
