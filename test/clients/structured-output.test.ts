import Anthropic from '@anthropic-ai/sdk';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { generateObject, generateText, streamObject, tool } from 'ai';
import OpenAI from 'openai';
import { zodFunction, zodResponseFormat } from 'openai/helpers/zod';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { z } from 'zod';
import { type GoldenEngine, startGoldenEngine } from '../support/golden-engine.js';
import { type InferenceApp, KEY, startInferenceApp } from '../support/inference-app.js';

// A real engine with a model of random weights: whatever is right about its answers was enforced. What is awaited is
// computed: a busy machine only takes longer.
vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

let engine: GoldenEngine;
let app: InferenceApp;
let openai: OpenAI;
let anthropic: Anthropic;
beforeAll(async () => {
  engine = await startGoldenEngine('cases/llama-gqa', { TOOL_PARSER: 'hermes', SPECULATION: 'ngram' });
  app = await startInferenceApp(engine);
  openai = new OpenAI({ apiKey: KEY, baseURL: `${app.url}/v1`, maxRetries: 0 });
  anthropic = new Anthropic({ apiKey: KEY, baseURL: app.url, maxRetries: 0 });
});
afterAll(async () => {
  await app?.close();
  await engine?.close();
});

const Bird = z.object({
  name: z.enum(['lorikeet', 'wren', 'owl']),
  eggs: z.number().int().min(0).max(12),
  sings: z.boolean(),
});
const ask = { model: 'golden', messages: [{ role: 'user' as const, content: 'a bird' }], temperature: 1 };

it('the openai client parses what it asked for, several at once, whole and streamed', async () => {
  const format = zodResponseFormat(Bird, 'bird');
  for (let seed = 0; seed < 4; seed++) {
    const { choices } = await openai.chat.completions.parse({ ...ask, seed, n: 2, response_format: format });
    expect(choices).toHaveLength(2);
    for (const { message, finish_reason } of choices) {
      expect(finish_reason).toBe('stop');
      expect(Bird.parse(message.parsed)).toEqual(JSON.parse(message.content ?? ''));
    }
  }
  const stream = openai.chat.completions.stream({ ...ask, seed: 9, response_format: format });
  const streamed = await stream.finalChatCompletion();
  const whole = await openai.chat.completions.create({ ...ask, seed: 9, response_format: format });
  expect(streamed.choices[0]?.message.content).toBe(whole.choices[0]?.message.content);
});

it('a structured answer that was predicted is the same', async () => {
  const response_format = zodResponseFormat(Bird, 'bird');
  const body = { ...ask, seed: 5, response_format };
  const content = (await openai.chat.completions.create(body)).choices[0]?.message.content ?? '';
  const again = await openai.chat.completions.create({ ...body, prediction: { type: 'content', content } });
  expect(again.choices[0]?.message.content).toBe(content);
});

it('an answer that is cut says so', async () => {
  const response_format = { type: 'json_object' as const };
  const { choices } = await openai.chat.completions.create({ ...ask, max_tokens: 2, response_format });
  expect(choices[0]).toMatchObject({ finish_reason: 'length' });
});

it("vLLM's fields hold on completions", async () => {
  const complete = async (fields: object) => {
    const body = { model: 'golden', prompt: ['once', 'twice'], max_tokens: 64, temperature: 1, ...fields };
    const { choices } = await openai.completions.create(body as OpenAI.CompletionCreateParamsNonStreaming);
    return choices.map(({ text }) => text);
  };
  const checks: [object, RegExp][] = [
    [{ guided_choice: ['yes', 'no'] }, /^(yes|no)$/],
    [{ guided_regex: '[a-f]{4}' }, /^[a-f]{4}$/],
    [{ guided_grammar: 'root ::= "x" | "y" root "z"', max_tokens: 200 }, /^y*xz*$/],
    [{ guided_json: JSON.stringify({ enum: [[1, 2], null] }) }, /^(\[\s*1\s*,\s*2\s*\]|null)$/],
    [{ structured_outputs: { json: { const: { a: 1 } }, disable_any_whitespace: true } }, /^{"a":1}$/],
    [
      { response_format: { type: 'json_schema', json_schema: { name: 'n', schema: { enum: [true] } } } },
      /^true$/,
    ],
  ];
  for (const [fields, pattern] of checks)
    for (const text of await complete(fields)) expect(text).toMatch(pattern);
});

it('a schema that cannot be kept is refused before a stream begins', async () => {
  const schema = { type: 'object', properties: { a: { type: 'array', uniqueItems: true } } };
  const response_format = { type: 'json_schema' as const, json_schema: { name: 'n', schema } };
  for (const stream of [true, false])
    await expect(openai.chat.completions.create({ ...ask, stream, response_format })).rejects.toMatchObject({
      status: 400,
      param: 'response_format.json_schema.schema',
      message: expect.stringContaining('uniqueItems: cannot be enforced (at /properties/a)') as unknown,
    });
});

const Weather = z.object({ city: z.enum(['Paris', 'Rome']), days: z.number().int().min(1).max(5) });

it('a forced call of a tool comes, with arguments that fit', async () => {
  const weather = zodFunction({ name: 'weather', parameters: Weather });
  const now = { type: 'function' as const, function: { name: 'now' } };
  for (let seed = 0; seed < 3; seed++) {
    const { choices } = await openai.chat.completions.create({
      ...ask,
      seed,
      tools: [weather, now],
      tool_choice: 'required',
      parallel_tool_calls: false,
    });
    const calls = choices[0]?.message.tool_calls ?? [];
    expect(choices[0]?.finish_reason).toBe('tool_calls');
    expect(calls).toHaveLength(1);
    for (const call of calls) {
      if (call.type !== 'function') throw new Error('a call of another kind');
      const given: unknown = JSON.parse(call.function.arguments);
      if (call.function.name === 'weather') Weather.parse(given);
      else expect(given).toEqual({});
    }
  }
  const stream = openai.chat.completions.stream({
    ...ask,
    tools: [weather, now],
    tool_choice: { type: 'function', function: { name: 'weather' } },
  });
  const { choices } = await stream.finalChatCompletion();
  const [call] = choices[0]?.message.tool_calls ?? [];
  expect(call).toMatchObject({ function: { name: 'weather' } });
  Weather.parse(JSON.parse((call as { function: { arguments: string } }).function.arguments));
});

it("a tool's schema that cannot be kept is named", async () => {
  const bad = { type: 'object', properties: { a: { not: { const: 1 } } } };
  const tools = [
    { type: 'function' as const, function: { name: 'now' } },
    { type: 'function' as const, function: { name: 'bad', parameters: bad, strict: true } },
  ];
  await expect(openai.chat.completions.create({ ...ask, tools })).rejects.toMatchObject({
    status: 400,
    param: 'tools[1].function.parameters',
    message: expect.stringContaining('not: cannot be enforced (at /properties/a)') as unknown,
  });
});

it('the Anthropic client gets the tool that it asks for', async () => {
  const input_schema = z.toJSONSchema(Weather) as Anthropic.Tool.InputSchema;
  for (const choice of [{ type: 'any' }, { type: 'tool', name: 'weather' }] as const) {
    const { content, stop_reason } = await anthropic.messages.create({
      model: 'golden',
      max_tokens: 200,
      messages: [{ role: 'user', content: 'Rain?' }],
      tools: [{ name: 'weather', input_schema }],
      tool_choice: { ...choice, disable_parallel_tool_use: true },
    });
    expect(stop_reason).toBe('tool_use');
    expect(content).toMatchObject([{ type: 'tool_use', name: 'weather' }]);
    Weather.parse((content[0] as Anthropic.ToolUseBlock).input);
  }
});

const model = () =>
  createOpenAICompatible({
    name: 'lorikeet',
    baseURL: `${app.url}/v1`,
    apiKey: KEY,
    supportsStructuredOutputs: true,
  }).chatModel('golden');
const quick = { maxRetries: 0, temperature: 1 };

it('the AI SDK generates and streams objects, and forces calls', async () => {
  const { object } = await generateObject({ model: model(), schema: Bird, prompt: 'a bird', ...quick });
  Bird.parse(object);
  const streamed = streamObject({ model: model(), schema: Bird, prompt: 'a bird', ...quick });
  const partial: unknown[] = [];
  for await (const part of streamed.partialObjectStream) partial.push(part);
  expect(Bird.parse(await streamed.object)).toEqual(partial.at(-1));
  const weather = tool({ inputSchema: Weather, execute: () => 'rain' });
  const { toolCalls } = await generateText({
    model: model(),
    tools: { weather },
    toolChoice: 'required',
    prompt: 'Rain?',
    ...quick,
  });
  expect(toolCalls.length).toBeGreaterThan(0);
  for (const { input } of toolCalls) Weather.parse(input);
});
