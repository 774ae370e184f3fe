import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { finish, start, tokens } from '../../../../test/support/engine-events.js';
import { FAKE_BASE, type FakeGeneration } from '../../../../test/support/fake-engine.js';
import { type InferenceApp, KEY, startInferenceApp } from '../../../../test/support/inference-app.js';

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

function answer(generation: FakeGeneration): void {
  const { embedding } = generation.request;
  const body = embedding
    ? { type: 'embedding' as const, values: 'AACAPw==', normalized: false }
    : tokens('Hi', [7]);
  generation.send(start(2, [4, 5]), body, finish());
  generation.end();
}

interface Answer {
  readonly error?: { readonly code: string; readonly param: string; readonly message: string };
}

async function post(path: string, body: object): Promise<{ status: number; body: Answer }> {
  const response = await fetch(app.url + path, {
    method: 'POST',
    headers: { authorization: `Bearer ${KEY}`, 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'support', ...body }),
  });
  return { status: response.status, body: (await response.json()) as Answer };
}

const messages = [{ role: 'user', content: 'x' }];
const ENDPOINTS = [
  ['/v1/chat/completions', { messages }],
  ['/v1/completions', { prompt: 'p' }],
  ['/v1/embeddings', { input: 'p' }],
  ['/v1/responses', { input: 'p', store: false }],
] as const;

describe.each(ENDPOINTS)('lora_scale on %s', (path, body) => {
  it('goes to the engine where it is another than 1', async () => {
    for (const lora_scale of [0.5, 0, -10, 1, null]) {
      expect((await post(path, { ...body, lora_scale })).status).toBe(200);
    }
    expect(app.engine.requests.map(({ adapterScale }) => adapterScale)).toEqual([
      0.5,
      0,
      -10,
      undefined,
      undefined,
    ]);
  });

  it('is held to its bounds', async () => {
    for (const lora_scale of [10.5, -11, '1', true]) {
      const { status, body: refused } = await post(path, { ...body, lora_scale });
      expect([status, refused.error?.param]).toEqual([400, 'lora_scale']);
    }
    expect(app.engine.requests).toEqual([]);
  });

  it('is refused where the engine finds no meaning for it', async () => {
    app.engine.script = (generation) =>
      generation.refuse('invalid_request', 'lora_scale: the base model has no adapter to scale', 'lora_scale');
    const refused = await post(path, { ...body, model: FAKE_BASE.name, lora_scale: 0.5 });
    expect(refused).toMatchObject({
      status: 400,
      body: { error: { code: 'invalid_request', param: 'lora_scale' } },
    });
    await vi.waitFor(() => expect(app.usage).toHaveLength(1));
  });
});
