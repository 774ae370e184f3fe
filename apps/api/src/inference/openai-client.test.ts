import OpenAI, {
  AuthenticationError,
  BadRequestError,
  InternalServerError,
  NotFoundError,
  PermissionDeniedError,
} from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { finish, scored, start, tokens } from '../../../../test/support/engine-events.js';
import { FAKE_BASE, type FakeGeneration } from '../../../../test/support/fake-engine.js';
import { type InferenceApp, KEY, startInferenceApp } from '../../../../test/support/inference-app.js';

let app: InferenceApp;
let client: OpenAI;
const clientWith = (apiKey: string) => new OpenAI({ apiKey, baseURL: `${app.url}/v1`, maxRetries: 0 });
beforeAll(async () => {
  app = await startInferenceApp();
  client = clientWith(KEY);
});
afterAll(() => app.close());

const talk = (generation: FakeGeneration): void => {
  generation.send(
    start(),
    tokens('Hel', [7], scores(7, 'Hel')),
    tokens('lo', [8], scores(8, 'lo')),
    finish(),
  );
  generation.end();
};
const scores = (id: number, text: string) => [scored(id, text, -0.5, 'x')];
const CHAT = { model: 'support', messages: [{ role: 'user' as const, content: 'Hi' }] };

describe('the openai client', () => {
  it('lists and retrieves models', async () => {
    const names = [];
    for await (const model of client.models.list()) names.push(model.id);
    expect(names).toEqual([FAKE_BASE.name, 'support']);
    expect((await client.models.retrieve('acme/support@3')).id).toBe('acme/support@3');
  });

  it('completes a text', async () => {
    app.engine.script = talk;
    const completion = await client.completions.create({ model: 'support', prompt: 'p', logprobs: 1 });
    expect(completion.choices[0]?.text).toBe('Hello');
    expect(completion.choices[0]?.logprobs?.tokens).toEqual(['Hel', 'lo']);
    expect(completion.usage?.total_tokens).toBe(5);
    expect(completion).toHaveProperty('_request_id', expect.any(String));
  });

  it('streams a completion', async () => {
    app.engine.script = talk;
    let text = '';
    for await (const chunk of await client.completions.create({
      model: 'support',
      prompt: 'p',
      stream: true,
    }))
      text += chunk.choices[0]?.text ?? '';
    expect(text).toBe('Hello');
  });

  it('chats', async () => {
    app.engine.script = talk;
    const { choices } = await client.chat.completions.create({ ...CHAT, logprobs: true, top_logprobs: 1 });
    expect(choices[0]?.message).toMatchObject({ role: 'assistant', content: 'Hello' });
    expect(choices[0]?.logprobs?.content?.map(({ token }) => token)).toEqual(['Hel', 'lo']);
  });

  it("streams a chat, which the client's own helper puts together", async () => {
    app.engine.script = talk;
    const stream = client.chat.completions.stream({ ...CHAT, stream_options: { include_usage: true } });
    const final = await stream.finalChatCompletion();
    expect(final.choices[0]?.message.content).toBe('Hello');
    expect(final.usage?.prompt_tokens_details?.cached_tokens).toBe(1);
  });

  it("takes its own answer's message back as history", async () => {
    app.engine.script = talk;
    const { choices } = await client.chat.completions.create(CHAT);
    const messages = [...CHAT.messages, choices[0]!.message, { role: 'user' as const, content: 'And?' }];
    expect((await client.chat.completions.create({ ...CHAT, messages })).choices).toHaveLength(1);
  });

  it.each([
    ['a wrong key', () => clientWith('wrong').models.list(), AuthenticationError, 'invalid_api_key'],
    [
      'a missing scope',
      () => clientWith('sk-adapters-only').chat.completions.create(CHAT),
      PermissionDeniedError,
      'insufficient_scope',
    ],
    [
      'an unknown model',
      () => client.chat.completions.create({ ...CHAT, model: 'nobody' }),
      NotFoundError,
      'model_not_found',
    ],
    [
      'a bad field',
      () => client.chat.completions.create({ ...CHAT, temperature: 3 }),
      BadRequestError,
      'invalid_request',
    ],
    [
      'a lost engine',
      () => {
        app.engine.script = (generation) => generation.cut();
        return client.chat.completions.create(CHAT);
      },
      InternalServerError,
      'engine_unavailable',
    ],
  ])('throws its own error class for %s', async (_what, call, errorClass, code) => {
    const error = await Promise.resolve(call()).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(errorClass);
    expect(error).toMatchObject({ code });
  });

  it('throws on a fault within a stream', async () => {
    let cut: () => void = () => undefined;
    app.engine.script = (generation) => {
      generation.send(start(), tokens('Hel', [7]));
      cut = () => generation.cut();
    };
    const stream = await client.chat.completions.create({ ...CHAT, stream: true });
    const read = async () => {
      for await (const { choices } of stream) if (choices[0]?.delta.content) cut();
    };
    await expect(read()).rejects.toMatchObject({ code: 'engine_unavailable' });
  });

  it("stops the engine's work when it aborts a stream", async () => {
    let stopped: Promise<void> | undefined;
    app.engine.script = (generation) => {
      stopped = generation.abandoned;
      generation.send(start(), tokens('Hel', [7]));
    };
    const stream = await client.chat.completions.create({ ...CHAT, stream: true });
    for await (const chunk of stream) if (chunk.choices[0]?.delta.content) stream.controller.abort();
    await expect(stopped).resolves.toBeUndefined();
  });
});
