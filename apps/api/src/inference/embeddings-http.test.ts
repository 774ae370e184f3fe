import OpenAI from 'openai';
import type { CreateEmbeddingResponse } from 'openai/resources/embeddings';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { finish, start } from '../../../../test/support/engine-events.js';
import { FAKE_BASE, type FakeGeneration } from '../../../../test/support/fake-engine.js';
import { type InferenceApp, KEY, startInferenceApp } from '../../../../test/support/inference-app.js';

let app: InferenceApp;
let client: OpenAI;
beforeAll(async () => {
  app = await startInferenceApp();
  client = new OpenAI({ apiKey: KEY, baseURL: `${app.url}/v1`, maxRetries: 0 });
});
afterAll(() => app.close());

const VECTOR = [0.6, 0, 0.8, 0];
const base64 = (vector: readonly number[]) =>
  Buffer.from(Float32Array.from(vector).buffer).toString('base64');
const vectors =
  (vector = VECTOR, normalized = true) =>
  (generation: FakeGeneration): void => {
    const usage = { promptTokens: 3, cachedTokens: 0, completionTokens: 0 };
    generation.send(
      start(3),
      { type: 'embedding', values: base64(vector), normalized },
      finish({ usage, reason: 'stop' }),
    );
    generation.end();
  };
beforeEach(() => {
  app.engine.script = vectors();
  app.engine.requests.length = 0;
});

const post = async (body: object) => {
  const response = await fetch(`${app.url}/v1/embeddings`, {
    method: 'POST',
    headers: { authorization: `Bearer ${KEY}`, 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'support', input: 'hello', ...body }),
  });
  return { status: response.status, body: (await response.json()) as CreateEmbeddingResponse & Refusal };
};
interface Refusal {
  readonly error?: { readonly code: string; readonly param: string; readonly message: string };
}
const float32 = (values: readonly number[]) => [...Float32Array.from(values)];

it('answers OpenAI’s list of vectors, one for each input in its order, and meters the prompts', async () => {
  app.usage.length = 0;
  const answer: CreateEmbeddingResponse = await client.embeddings.create({
    model: 'support',
    input: ['a', 'b', 'c'],
  });
  expect(answer).toMatchObject({
    object: 'list',
    model: 'support',
    usage: { prompt_tokens: 9, total_tokens: 9 },
  });
  expect(answer.data.map(({ object, index }) => [object, index])).toEqual([
    ['embedding', 0],
    ['embedding', 1],
    ['embedding', 2],
  ]);
  expect(answer.data[0]?.embedding).toEqual(float32(VECTOR));
  expect(app.usage).toMatchObject([{ promptTokens: 9, completionTokens: 0, errorCode: undefined }]);
  expect(app.engine.requests[0]).toMatchObject({
    embedding: true,
    maxTokens: 0,
    adapter: 'd1'.repeat(32),
    fairnessKey: 'tenant-1',
  });
});

it('takes token ids and arrays of them', async () => {
  await post({ input: [1, 2, 3] });
  await post({ input: [[1, 2], [3]] });
  expect(app.engine.requests.map(({ input }) => input)).toEqual([
    { kind: 'tokens', tokens: [1, 2, 3] },
    { kind: 'tokens', tokens: [1, 2] },
    { kind: 'tokens', tokens: [3] },
  ]);
});

it('writes vectors as numbers, or as float32 in base64', async () => {
  expect((await post({})).body.data[0]?.embedding).toEqual(float32(VECTOR));
  const { body } = await post({ encoding_format: 'base64' });
  expect(body.data[0]?.embedding).toBe(base64(VECTOR));
});

it('keeps the first numbers, with length 1 again where the vector had it', async () => {
  expect((await post({ dimensions: 2 })).body.data[0]?.embedding).toEqual([1, 0]);
  app.engine.script = vectors([3, 4, 5], false);
  expect((await post({ dimensions: 2 })).body.data[0]?.embedding).toEqual([3, 4]);
});

it('passes on how inputs are cut and whose turn is first', async () => {
  await post({ truncate_prompt_tokens: -1, priority: 5, cache_salt: 's', add_special_tokens: false });
  expect(app.engine.requests[0]).toMatchObject({
    keepPromptTokens: 'room',
    priority: 5,
    cacheSalt: 'tenant-1 s',
    input: { addSpecialTokens: false },
  });
});

it('answers 2,048 inputs, which do not fill the engine’s queue at once', async () => {
  let open = 0;
  let most = 0;
  app.engine.script = async (generation) => {
    most = Math.max(most, ++open);
    await new Promise(setImmediate);
    open--;
    vectors()(generation);
  };
  const { status, body } = await post({ input: Array.from({ length: 2_048 }, (_, i) => `text ${i}`) });
  expect(status).toBe(200);
  expect(body.data.map(({ index }) => index)).toEqual(Array.from({ length: 2_048 }, (_, i) => i));
  expect(body.usage.prompt_tokens).toBe(3 * 2_048);
  expect(most).toBeLessThanOrEqual(256);
});

it.each([
  ['no input', { input: undefined }, 'input'],
  ['an empty text', { input: '' }, 'input'],
  ['an empty text among others', { input: ['a', ''] }, 'input[1]'],
  ['no inputs', { input: [] }, 'input'],
  ['too many', { input: Array.from({ length: 2_049 }, () => 'a') }, 'input'],
  ['what is no text', { input: [1, 'a'] }, 'input'],
  ['an unknown format', { encoding_format: 'int8' }, 'encoding_format'],
  ['more dimensions than there are', { dimensions: FAKE_BASE.hiddenSize + 1 }, 'dimensions'],
  ['no dimension', { dimensions: 0 }, 'dimensions'],
  ['an unknown field', { pooling: 'max' }, 'pooling'],
])('refuses %s by the name of the field', async (_, body, param) => {
  const answer = await post(body);
  expect([answer.status, answer.body.error?.param]).toEqual([400, param]);
});

it('refuses an input that does not fit the context, whoever finds out', async () => {
  const tokens = Array.from({ length: FAKE_BASE.maxContext + 1 }, () => 1);
  const early = await post({ input: tokens });
  expect([early.status, early.body.error?.code, early.body.error?.param]).toEqual([
    400,
    'context_length_exceeded',
    'input',
  ]);
  app.engine.script = (generation) => generation.refuse('context_length_exceeded', 'too long', 'prompt');
  const late = await post({ input: ['a', 'b'] });
  expect([late.status, late.body.error?.code, late.body.error?.param]).toEqual([
    400,
    'context_length_exceeded',
    'input',
  ]);
});
