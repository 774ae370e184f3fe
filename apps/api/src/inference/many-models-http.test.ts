import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import type { ChatCompletion, ChatCompletionChunk } from '#contracts/openai/chat-response.js';
import type { Completion } from '#contracts/openai/completion-response.js';
import { ChatCompletionChunkSchema, ChatCompletionSchema } from '#contracts/openai/chat-response.js';
import { CompletionSchema } from '#contracts/openai/completion-response.js';
import { finish, start, tokens } from '../../../../test/support/engine-events.js';
import { FAKE_BASE, type FakeGeneration } from '../../../../test/support/fake-engine.js';
import { type InferenceApp, KEY, startInferenceApp } from '../../../../test/support/inference-app.js';

const [SUPPORT, BILLING] = ['d1'.repeat(32), 'b1'.repeat(32)];
const models = ['support', 'billing', FAKE_BASE.name];

let app: InferenceApp;
beforeAll(async () => {
  app = await startInferenceApp();
});
afterAll(() => app.close());
beforeEach(() => {
  app.usage.length = 0;
  app.engine.requests.length = 0;
  app.engine.script = answer;
});

const nameOf = ({ request: { adapter } }: FakeGeneration): string =>
  adapter === SUPPORT ? 'support' : adapter === BILLING ? 'billing' : 'base';

/** Says whose answer it is. */
function answer(generation: FakeGeneration): void {
  generation.send(start(2, [4, 5]));
  for (let choice = 0; choice < (generation.request.n ?? 1); choice++) {
    generation.send({ ...tokens(`I am ${nameOf(generation)}`, [7]), choice }, { ...finish(), choice });
  }
  generation.end();
}

function post(path: string, body: object, signal?: AbortSignal): Promise<Response> {
  return fetch(app.url + path, {
    method: 'POST',
    headers: { authorization: `Bearer ${KEY}`, 'content-type': 'application/json' },
    body: JSON.stringify(body),
    ...(signal ? { signal } : {}),
  });
}
const messages = [{ role: 'user', content: 'x' }];
const chat = (fields: object, signal?: AbortSignal) =>
  post('/v1/chat/completions', { models, messages, ...fields }, signal);

async function chunksOf(response: Response): Promise<{ chunks: ChatCompletionChunk[]; done: boolean }> {
  const data = (await response.text())
    .split('\n\n')
    .flatMap((event) => event.match(/^data: (.*)/s)?.[1] ?? []);
  const done = data.at(-1) === '[DONE]';
  const chunks = (done ? data.slice(0, -1) : data).map((line) => JSON.parse(line) as ChatCompletionChunk);
  return { chunks, done };
}

describe('one prompt to several models', () => {
  it('is answered by each, in their order, and metered to each', async () => {
    const response = await chat({ n: 2 });
    expect(response.status).toBe(200);
    const body = ChatCompletionSchema.parse(await response.json()) as ChatCompletion;
    expect(body.choices.map(({ index, model, message }) => [index, model, message.content])).toEqual([
      [0, 'support', 'I am support'],
      [1, 'support', 'I am support'],
      [2, 'billing', 'I am billing'],
      [3, 'billing', 'I am billing'],
      [4, FAKE_BASE.name, 'I am base'],
      [5, FAKE_BASE.name, 'I am base'],
    ]);
    const base = FAKE_BASE.digest.slice(0, 12);
    expect(body).toMatchObject({
      id: expect.stringMatching(/^chatcmpl-[0-9a-f]{32}$/),
      model: models.join(','),
      usage: { prompt_tokens: 6, completion_tokens: 18, prompt_tokens_details: { cached_tokens: 3 } },
      models: [
        { model: 'support', system_fingerprint: `cpu-0/${base}/support@3`, usage: { completion_tokens: 6 } },
        { model: 'billing', system_fingerprint: `cpu-0/${base}/billing@7`, usage: { completion_tokens: 6 } },
        { model: FAKE_BASE.name, system_fingerprint: `cpu-0/${base}`, usage: { completion_tokens: 6 } },
      ],
    });
    await vi.waitFor(() => expect(app.usage).toHaveLength(3));
    expect(
      app.usage.map(({ model, adapter, completionTokens }) => [model, adapter, completionTokens]).sort(),
    ).toEqual([
      ['billing', 'billing', 6],
      [FAKE_BASE.name, undefined, 6],
      ['support', 'support', 6],
    ]);
    expect(new Set(app.engine.requests.map(({ cacheSalt }) => cacheSalt)).size).toBe(1);
  });

  it('completes several texts, each by each', async () => {
    const response = await post('/v1/completions', { models, prompt: ['a', 'b'], return_token_ids: true });
    const { choices, models: results } = CompletionSchema.parse(await response.json()) as Completion;
    expect(choices.map(({ index, model, text }) => `${index} ${model}: ${text}`)).toEqual(
      models.flatMap((model, at) =>
        [0, 1].map((i) => `${2 * at + i} ${model}: I am ${model === FAKE_BASE.name ? 'base' : model}`),
      ),
    );
    expect(results?.map(({ usage }) => usage.prompt_tokens)).toEqual([4, 4, 4]);
  });

  it('streams chunks that say whose they are, and the usage of each at the end', async () => {
    const response = await chat({ stream: true, stream_options: { include_usage: true } });
    const { chunks, done } = await chunksOf(response);
    for (const chunk of chunks) ChatCompletionChunkSchema.parse(chunk);
    const texts = new Map<string, string>();
    for (const { model, choices } of chunks.slice(0, -1)) {
      for (const choice of choices) {
        expect([choice.model, choice.index]).toEqual([model, models.indexOf(model)]);
        texts.set(model, (texts.get(model) ?? '') + (choice.delta.content ?? ''));
      }
    }
    expect([...texts].sort()).toEqual([
      ['billing', 'I am billing'],
      [FAKE_BASE.name, 'I am base'],
      ['support', 'I am support'],
    ]);
    expect(chunks.at(-1)).toMatchObject({
      choices: [],
      usage: { total_tokens: 15 },
      models: models.map((model) => ({ model })),
    });
    expect(new Set(chunks.map(({ id }) => id)).size).toBe(1);
    expect(done).toBe(true);
  });

  it('leaves the others alone where one is not there, or fails on its way', async () => {
    app.engine.script = (generation) => {
      if (nameOf(generation) !== 'billing') return answer(generation);
      generation.send(start(), tokens('half', [7]), {
        type: 'error',
        code: 'internal_error',
        message: 'broken',
      });
      generation.end();
    };
    const asked = { models: ['nobody', 'support', 'billing'] };
    const body = ChatCompletionSchema.parse(await (await chat(asked)).json()) as ChatCompletion;
    expect(body.choices).toMatchObject([
      {
        index: 0,
        model: 'nobody',
        finish_reason: 'error',
        error: { code: 'model_not_found', param: 'model' },
      },
      { index: 1, model: 'support', finish_reason: 'stop', message: { content: 'I am support' } },
      {
        index: 2,
        model: 'billing',
        finish_reason: 'error',
        message: { content: null },
        error: { code: 'internal_error' },
      },
    ]);
    expect(body.models?.map(({ error }) => error?.code)).toEqual([
      'model_not_found',
      undefined,
      'internal_error',
    ]);
    const { chunks, done } = await chunksOf(await chat({ ...asked, stream: true }));
    const failed = chunks.flatMap(({ choices }) =>
      choices.filter(({ finish_reason }) => finish_reason === 'error'),
    );
    expect(failed).toMatchObject([
      { index: 0, model: 'nobody', delta: {}, error: { code: 'model_not_found' } },
      { index: 2, model: 'billing', delta: {}, error: { code: 'internal_error' } },
    ]);
    expect(chunks.flatMap(({ choices }) => choices).map(({ delta }) => delta.content)).toContain(
      'I am support',
    );
    expect(done).toBe(true);
    await vi.waitFor(() => expect(app.usage).toHaveLength(4));
    expect(app.usage.map(({ model, errorCode }) => [model, errorCode]).sort()).toEqual([
      ['billing', 'internal_error'],
      ['billing', 'internal_error'],
      ['support', undefined],
      ['support', undefined],
    ]);
  });

  it('fails as a request to the first would where none of them answers', async () => {
    const response = await chat({ models: ['nobody', 'old'] });
    expect(response.status).toBe(404);
    expect(await response.json()).toMatchObject({ error: { code: 'model_not_found' } });
    app.engine.script = (generation) => {
      generation.send(start(), { type: 'error', code: 'internal_error', message: 'broken' });
      generation.end();
    };
    expect((await chat({})).status).toBe(500);
    const { chunks, done } = await chunksOf(await chat({ stream: true }));
    expect(chunks.at(-1)).toMatchObject({ error: { code: 'internal_error' } });
    expect(done).toBe(false);
  });

  it.each([true, false])(
    'stops all of them, and meters them, when its client goes away (stream: %s)',
    async (stream) => {
      const abandoned: Promise<void>[] = [];
      app.engine.script = (generation) => {
        generation.send(start(), tokens('endless', [7]));
        abandoned.push(generation.abandoned);
      };
      const client = new AbortController();
      const response = chat({ stream }, client.signal);
      await vi.waitFor(() => expect(abandoned).toHaveLength(3), 10_000);
      if (stream) await (await response).body?.getReader().read();
      client.abort();
      await response.catch(() => undefined);
      await Promise.all(abandoned);
      await vi.waitFor(() => expect(app.usage).toHaveLength(3), 10_000);
      expect(app.usage.map(({ errorCode }) => errorCode)).toEqual(Array(3).fill('client_closed_request'));
    },
  );

  it.each([
    ['model and models', { model: 'support' }, 'models'],
    ['no model', { models: null }, 'model'],
    ['no models', { models: [] }, 'models'],
    ['more than 16', { models: Array(17).fill('support') }, 'models'],
    ['more than 256 generations', { n: 128 }, 'models'],
    ['what is no model', { models: ['support', ''] }, 'models[1]'],
  ])('is refused with %s', async (_, fields, param) => {
    const response = await chat(fields);
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({ error: { code: 'invalid_request', param } });
    expect(app.engine.requests).toEqual([]);
  });
});
