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
      generation.refuse(
        'invalid_request',
        'lora_scale: the base model has no adapter to scale',
        'lora_scale',
      );
    const refused = await post(path, { ...body, model: FAKE_BASE.name, lora_scale: 0.5 });
    expect(refused).toMatchObject({
      status: 400,
      body: { error: { code: 'invalid_request', param: 'lora_scale' } },
    });
    await vi.waitFor(() => expect(app.usage).toHaveLength(1));
  });
});

describe('a model of several adapters', () => {
  const chat = (model: string, more: object = {}) =>
    post('/v1/chat/completions', { model, messages, ...more });
  const [support, billing] = ['d1'.repeat(32), 'b1'.repeat(32)];

  it('goes to the engine as one, whose identity does not depend on the order', async () => {
    for (const model of [
      'support+billing',
      'billing+support',
      'support@3*0.7+billing*0.3',
      'billing*0.3+support*0.7',
    ])
      expect((await chat(model)).body).toMatchObject({ model });
    const [one, other, weighted, turned] = app.engine.requests;
    expect(one?.composition).toEqual([
      { digest: support, weight: 1 },
      { digest: billing, weight: 1 },
    ]);
    expect(other?.composition?.map(({ digest }) => digest)).toEqual([billing, support]);
    expect(weighted?.composition).toEqual([
      { digest: support, weight: 0.7 },
      { digest: billing, weight: 0.3 },
    ]);
    expect(one?.adapter).toMatch(/^[0-9a-f]{64}$/);
    expect(other?.adapter).toBe(one?.adapter);
    expect(turned?.adapter).toBe(weighted?.adapter);
    expect(weighted?.adapter).not.toBe(one?.adapter);
    expect([one?.adapterScale, weighted?.adapterScale]).toEqual([undefined, undefined]);
  });

  it('is named with versions and weights, and metered under all of its names', async () => {
    const { body } = await chat('support*0.7+billing', { lora_scale: 0.5 });
    expect(body).toMatchObject({
      system_fingerprint: `cpu-0/${FAKE_BASE.digest.slice(0, 12)}/support@3*0.7+billing@7`,
    });
    expect(app.engine.requests[0]).toMatchObject({ adapterScale: 0.5 });
    await vi.waitFor(() => expect(app.usage).toHaveLength(1));
    expect(app.usage[0]).toMatchObject({
      adapterId: undefined,
      adapter: 'billing+support',
      version: undefined,
      members: [
        { adapterId: 'adapter-1', version: 3 },
        { adapterId: 'adapter-2', version: 7 },
      ],
    });
  });

  it('of one adapter with a weight is that adapter, scaled', async () => {
    await chat('support*0.5');
    await chat('support*0.5', { lora_scale: 3 });
    await chat('support*1');
    expect(app.engine.requests.map(({ adapter, adapterScale }) => [adapter, adapterScale])).toEqual([
      [support, 0.5],
      [support, 1.5],
      [support, undefined],
    ]);
    await vi.waitFor(() => expect(app.usage).toHaveLength(3));
    expect(app.usage[0]).toMatchObject({ adapterId: 'adapter-1', adapter: 'support', version: 3 });
    app.engine.script = (generation) =>
      generation.refuse('invalid_request', 'lora_scale: only low-rank deltas can be scaled', 'lora_scale');
    expect((await chat('support*0.5')).body.error).toMatchObject({
      message: 'model: only low-rank deltas can be scaled',
      param: 'model',
    });
  });

  it.each([
    ['support+support@3', 400, '"support" and "support@3" are the same adapter'],
    [`support+${FAKE_BASE.name}`, 400, 'is the base model'],
    ['support+', 400, 'expected adapters as a+b'],
    ['support+billing+a+b+c', 400, 'expected at most 4 adapters'],
    ['support*11+billing', 400, 'expected weights from -10 to 10'],
    ['support+nobody', 404, 'nobody'],
    ['support+old', 409, 'old@3 does not answer'],
  ])('that cannot be is refused: %s', async (model, status, message) => {
    const refused = await chat(model);
    expect(refused).toMatchObject({ status, body: { error: { param: 'model' } } });
    expect(refused.body.error?.message).toContain(message);
    expect(app.engine.requests).toEqual([]);
  });
});
