import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { finish, scored, start, tokens } from '../../../../test/support/engine-events.js';
import { FAKE_BASE, type FakeGeneration } from '../../../../test/support/fake-engine.js';
import { type InferenceApp, KEY, startInferenceApp, TENANT } from '../../../../test/support/inference-app.js';
import { RequestMeter } from '#inference/meter/request-meter.js';

let app: InferenceApp;
beforeAll(async () => {
  app = await startInferenceApp();
});
afterAll(() => app.close());
afterEach(() => vi.restoreAllMocks());
beforeEach(() => {
  app.usage.length = 0;
  app.logged.length = 0;
  app.engine.requests.length = 0;
  app.engine.script = answer;
});

function answer(generation: FakeGeneration): void {
  generation.send(start(2, [4, 5]), tokens('Hi', [7]), tokens('!', [8]), finish());
  generation.end();
}

function post(path: string, body: unknown, init: RequestInit = {}, key = KEY): Promise<Response> {
  return fetch(app.url + path, {
    method: 'POST',
    body: typeof body === 'string' ? body : JSON.stringify(body),
    ...init,
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json', ...init.headers },
  });
}
const complete = (fields: object = {}, init?: RequestInit) =>
  post('/v1/completions', { model: 'support', prompt: 'p', ...fields }, init);
const chat = (fields: object = {}, init?: RequestInit) =>
  post(
    '/v1/chat/completions',
    { model: 'support', messages: [{ role: 'user', content: 'x' }], ...fields },
    init,
  );

/** The data lines of a whole event stream; `atFirst` is called when the first has come. */
async function dataLines(response: Response, atFirst: () => void = () => undefined): Promise<string[]> {
  let text = '';
  for await (const piece of response.body?.pipeThrough(new TextDecoderStream()) ?? []) {
    if (!text.includes('data: ') && (text + piece).includes('data: ')) atFirst();
    text += piece;
  }
  return text.split('\n\n').flatMap((event) => (event.startsWith('data: ') ? [event.slice(6)] : []));
}
const settled = () => vi.waitFor(() => expect(app.usage).toHaveLength(1), 10_000);

describe('the inference API', () => {
  it('answers a completion with the echoed model, request id and fingerprint', async () => {
    const response = await complete({}, { headers: { 'x-request-id': 'mine-1' } });
    expect(response.status).toBe(200);
    expect(response.headers.get('x-request-id')).toBe('mine-1');
    expect(await response.json()).toMatchObject({
      id: expect.stringMatching(/^cmpl-[0-9a-f]{32}$/),
      model: 'support',
      system_fingerprint: `cpu-0/${FAKE_BASE.digest.slice(0, 12)}/support@3`,
      choices: [{ text: 'Hi!' }],
      usage: {
        prompt_tokens: 2,
        completion_tokens: 3,
        total_tokens: 5,
        prompt_tokens_details: { cached_tokens: 1 },
      },
    });
  });

  it("sends the version's digest, and keeps tenants' caches and turns apart", async () => {
    await complete();
    await complete({ model: FAKE_BASE.name });
    const [adapted, base] = app.engine.requests;
    expect(adapted).toMatchObject({ adapter: 'd1'.repeat(32), cacheSalt: TENANT.id, fairnessKey: TENANT.id });
    expect(base).not.toHaveProperty('adapter');
  });

  it("keeps a caller's own cache salt within its tenant", async () => {
    await complete({ cache_salt: 'tenant-2' });
    await chat({ cache_salt: 'tenant-2' });
    expect(app.engine.requests.map(({ cacheSalt }) => cacheSalt)).toEqual([
      `${TENANT.id} tenant-2`,
      `${TENANT.id} tenant-2`,
    ]);
  });

  it('streams chat chunks, usage and [DONE] as server-sent events', async () => {
    const response = await chat({ stream: true, stream_options: { include_usage: true } });
    expect(response.headers.get('content-type')).toBe('text/event-stream; charset=utf-8');
    expect(response.headers.get('x-request-id')).toBeTruthy();
    const lines = await dataLines(response);
    expect(lines.at(-1)).toBe('[DONE]');
    const chunks = lines.slice(0, -1).map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(chunks).toMatchObject([
      { choices: [{ delta: { role: 'assistant' } }], usage: null },
      { choices: [{ delta: { content: 'Hi' } }], usage: null },
      { choices: [{ delta: { content: '!' } }], usage: null },
      { choices: [{ delta: {}, finish_reason: 'stop' }], usage: null },
      { choices: [], usage: { total_tokens: 5 } },
    ]);
    expect(new Set(chunks.map(({ id }) => id)).size).toBe(1);
  });

  it('fans out prompts and alternatives and merges their streams', async () => {
    app.engine.script = (generation) => {
      const { input, sampling, n = 1 } = generation.request;
      generation.send(start());
      for (let choice = n - 1; choice >= 0; choice--) {
        const name = `${input.kind === 'text' ? input.text : ''}${Number(sampling.seed ?? 0) + choice}`;
        generation.send({ ...tokens(name, [1]), choice }, { ...finish(), choice });
      }
      generation.end();
    };
    const fields = { prompt: ['a', 'b'], n: 2, seed: 3 };
    const whole = (await (await complete(fields)).json()) as { choices: { text: string }[]; usage: object };
    expect(whole.choices.map(({ text }) => text)).toEqual(['a3', 'a4', 'b3', 'b4']);
    expect(whole.usage).toMatchObject({ prompt_tokens: 4, completion_tokens: 12 });
    const lines = (await dataLines(await complete({ ...fields, stream: true }))).slice(0, -1);
    const texts = ['', '', '', ''];
    for (const line of lines) {
      const [choice] = (JSON.parse(line) as { choices: { index: number; text: string }[] }).choices;
      if (choice) texts[choice.index] += choice.text;
    }
    expect(texts).toEqual(['a3', 'a4', 'b3', 'b4']);
    expect(app.engine.requests).toHaveLength(4); // a prompt crosses once, twice asked
  });

  it('refuses a prompt that cannot fit before any engine hears of it', async () => {
    const { maxContext } = FAKE_BASE;
    for (const prompt of [
      Array.from({ length: maxContext }, () => 1),
      [[1], Array.from({ length: 600 }, () => 1)],
    ]) {
      const answer = await complete({ prompt });
      expect(answer.status).toBe(400);
      expect(await answer.json()).toMatchObject({
        error: { code: 'context_length_exceeded', param: 'prompt' },
      });
    }
    app.engine.status = { ...app.engine.status, base: { ...FAKE_BASE, longestToken: 4 } };
    await vi.waitFor(async () => {
      expect((await complete({ prompt: 'x'.repeat(4 * maxContext + 1) })).status).toBe(400);
    }, 10_000);
    app.engine.requests.length = 0;
    await complete({ prompt: 'x'.repeat(4 * maxContext + 1) });
    expect(app.engine.requests).toHaveLength(0);
    app.engine.status = { ...app.engine.status, base: FAKE_BASE };
  });

  it('sends the first chunk with the first token, not before', async () => {
    app.engine.script = (generation) => {
      generation.send(start(), { type: 'error', code: 'internal_error', message: 'no token came' });
      generation.end();
    };
    const lines = await dataLines(await chat({ stream: true }));
    expect(lines.map((line) => Object.keys(JSON.parse(line) as object))).toEqual([['error']]);
  });

  it('ends an answer with a line break, for who reads it in a terminal', async () => {
    expect(await (await complete({})).text()).toMatch(/\}\n$/);
    expect(await (await complete({ prompt: [] })).text()).toMatch(/\}\n$/);
  });

  it('keeps every digit of a seed on its way to the engine', async () => {
    await post('/v1/completions', '{"model":"support","prompt":"p","seed":9223372036854775807}');
    expect(app.engine.requests.at(-1)?.sampling.seed).toBe('9223372036854775807');
  });

  it('hands a suffix to the engine with the prompt', async () => {
    expect((await complete({ prompt: 'a', suffix: 'c' })).status).toBe(200);
    expect(app.engine.requests[0]).toMatchObject({ input: { kind: 'text', text: 'a', suffix: 'c' } });
  });

  it('hands a prediction to the engine and tells what came of it', async () => {
    app.engine.script = (generation) => {
      const end = finish();
      const usage = {
        promptTokens: 2,
        cachedTokens: 0,
        completionTokens: 1,
        predicted: { accepted: 5, rejected: 2 },
      };
      generation.send(start(2), tokens('Hi', [7]), { ...end, usage });
      generation.end();
    };
    const parts = [
      { type: 'text', text: 'so ' },
      { type: 'text', text: 'far' },
    ];
    const answer = await chat({ prediction: { type: 'content', content: parts } });
    expect(await answer.json()).toMatchObject({
      usage: { completion_tokens_details: { accepted_prediction_tokens: 5, rejected_prediction_tokens: 2 } },
    });
    expect(app.engine.requests[0]).toMatchObject({ prediction: 'so far' });
    const empty = await chat({ prediction: { type: 'content', content: '' } });
    expect(empty.status).toBe(200);
    expect(app.engine.requests.at(-1)).not.toHaveProperty('prediction');
    const refused = await chat({ prediction: { type: 'tokens', content: 'x' } });
    expect(await refused.json()).toMatchObject({ error: { param: 'prediction.type' } });
  });

  it('meters a request once, under the version that served it', async () => {
    await complete({}, { headers: { 'x-request-id': 'metered' } });
    expect(app.usage).toEqual([
      {
        tenantId: TENANT.id,
        keyId: 'key-1',
        adapterId: 'adapter-1',
        adapter: 'support',
        version: 3,
        model: 'support',
        requestId: 'metered',
        promptTokens: 2,
        cachedTokens: 1,
        completionTokens: 3,
        errorCode: undefined,
        queue_ms: expect.any(Number),
        ttft_ms: expect.any(Number),
        total_ms: expect.any(Number),
        tpots_ms: [expect.any(Number)],
      },
    ]);
  });

  it.each([
    ['unary', false],
    ['streamed', true],
  ])(
    'stops the generation when the client of a %s answer leaves, and meters what it got',
    async (_, stream) => {
      const client = new AbortController();
      let stopped: Promise<void> | undefined;
      app.engine.script = (generation) => {
        stopped = generation.abandoned;
        generation.send(start(), tokens('a', [1]), tokens('b', [2]));
      };
      let counted = 0;
      const { note } = RequestMeter.prototype;
      vi.spyOn(RequestMeter.prototype, 'note').mockImplementation(function (this: RequestMeter, ...args) {
        note.apply(this, args);
        if (args[1].type === 'tokens' && ++counted === 2) client.abort();
      });
      await expect(complete({ stream }, { signal: client.signal }).then((r) => r.text())).rejects.toThrow(
        'abort',
      );
      await stopped;
      await settled();
      expect(app.usage).toMatchObject([
        { promptTokens: 2, completionTokens: 2, errorCode: 'client_closed_request' },
      ]);
      await expect
        .poll(() => app.logged)
        .toContainEqual(expect.objectContaining({ code: 'client_closed_request' }));
      await expect.poll(() => app.streams.size).toBe(0);
    },
  );

  it('ends all sequences of a request when one of them fails', async () => {
    const stopped: Promise<void>[] = [];
    app.engine.script = (generation) => {
      generation.send(start());
      if (generation.request.input.kind === 'text' && generation.request.input.text === 'bad')
        generation.send({ type: 'error', code: 'internal_error', message: 'the step failed' });
      else stopped.push(generation.abandoned);
    };
    const response = await complete({ prompt: ['good', 'bad', 'good'] });
    expect(response.status).toBe(500);
    await Promise.all(stopped);
    expect(stopped).toHaveLength(2);
    expect(app.usage).toMatchObject([{ errorCode: expect.any(String), promptTokens: 6 }]);
  });

  it('tells a fault within a stream as an error line and sends no [DONE]', async () => {
    let cut: () => void = () => undefined;
    app.engine.script = (generation) => {
      generation.send(start(), tokens('a', [1]));
      cut = () => generation.cut();
    };
    const lines = await dataLines(await complete({ stream: true }), cut);
    expect(lines).toHaveLength(2);
    expect(JSON.parse(lines[1] ?? '')).toMatchObject({
      error: { code: 'engine_unavailable', type: 'server_error', message: expect.any(String) },
    });
    expect(app.usage).toMatchObject([{ errorCode: 'engine_unavailable', completionTokens: 1 }]);
  });

  it('answers a fault before the stream with its status, also with stream: true', async () => {
    app.engine.script = (generation) => generation.refuse('context_length_exceeded', 'too long', 'prompt');
    const response = await complete({ stream: true });
    expect(response.status).toBe(400);
    expect(await response.json()).toEqual({
      error: {
        message: 'too long',
        type: 'invalid_request_error',
        code: 'context_length_exceeded',
        param: 'prompt',
      },
    });
    expect(app.usage).toMatchObject([{ errorCode: expect.any(String), promptTokens: 0 }]);
  });

  it("names a chat's own field when the engine finds its prompt too long", async () => {
    app.engine.script = (generation) => generation.refuse('context_length_exceeded', 'too long', 'prompt');
    expect(await (await chat()).json()).toMatchObject({ error: { param: 'messages' } });
  });

  it('ends open streams at shutdown with an error line', async () => {
    app.engine.script = (generation) => generation.send(start(), tokens('a', [1]));
    const lines = await dataLines(await complete({ stream: true }), () => app.streams.abortAll('shutdown'));
    expect(JSON.parse(lines.at(-1) ?? '')).toMatchObject({
      error: { code: 'engine_unavailable', message: 'The server is shutting down.' },
    });
  });

  it('lets a slow reader slow only its own stream', async () => {
    const piece = 'x'.repeat(10_000);
    app.engine.script = (generation) => {
      generation.send(start());
      for (let i = 0; i < 1000; i += 1) generation.send(tokens(piece, [1]));
      generation.send(finish());
      generation.end();
    };
    const slow = await complete({ stream: true });
    expect((await (await complete({ model: FAKE_BASE.name })).json()) as object).toHaveProperty('choices');
    const lines = await dataLines(slow);
    expect(lines).toHaveLength(1002);
    expect(app.usage).toHaveLength(2);
  }, 30_000);

  it.each([
    ['/v1/completions', { prompt: 'p' }, 400, 'invalid_request', 'model'],
    ['/v1/completions', { model: 'support', prompt: 'p', wibble: 1 }, 400, 'invalid_request', 'wibble'],
    ['/v1/completions', { model: 'nobody', prompt: 'p' }, 404, 'model_not_found', 'model'],
    ['/v1/completions', { model: 'old', prompt: 'p' }, 409, 'version_not_ready', 'model'],
    ['/v1/completions', '{"model":', 400, 'invalid_request', null],
    ['/v1/chat/completions', { model: 'support' }, 400, 'invalid_request', 'messages'],
  ])('%s %j answers %i %s', async (path, body, status, code, param) => {
    const response = await post(path, body);
    expect(response.status).toBe(status);
    expect(await response.json()).toMatchObject({ error: { code, param } });
    expect(app.engine.requests).toHaveLength(0);
  });

  it('answers 401 without a valid key and 403 without the scope', async () => {
    const body = { model: 'support', prompt: 'p' };
    expect((await post('/v1/completions', body, {}, 'wrong')).status).toBe(401);
    expect((await post('/v1/completions', body, {}, 'sk-adapters-only')).status).toBe(403);
    expect((await fetch(`${app.url}/v1/models`)).status).toBe(401);
  });

  it('answers 503 with retry-after while no engine is ready', async () => {
    const { status } = app.engine;
    app.engine.status = { ...status, state: 'loading' };
    await vi.waitFor(async () => {
      const response = await complete();
      expect(response.status).toBe(503);
      expect(Number(response.headers.get('retry-after'))).toBeGreaterThan(0);
    }, 10_000);
    app.engine.status = status;
    await vi.waitFor(async () => expect((await complete()).status).toBe(200), 10_000);
  });

  it('answers echoed prompts with log-probabilities and no generation', async () => {
    app.engine.script = (generation) => {
      const token = { ...scored(5, 'p', -1), textOffset: 0, logprob: null };
      generation.send(start(1), { type: 'prompt', text: 'p', tokens: [token] }, finish({ reason: 'length' }));
      generation.end();
    };
    const response = await complete({ echo: true, max_tokens: 0, logprobs: 0, prompt: [5] });
    expect(app.engine.requests).toMatchObject([{ maxTokens: 0, logprobs: 0, promptLogprobs: 0 }]);
    expect(await response.json()).toMatchObject({
      choices: [{ text: 'p', logprobs: { tokens: ['p'], token_logprobs: [null] }, finish_reason: 'length' }],
    });
  });

  it('counts requests and tokens for Prometheus', async () => {
    await complete();
    const text = await (await fetch(`${app.url}/metrics`)).text();
    expect(text).toMatch(/lorikeet_inference_requests_total\{code="ok",app="test"\} \d+/);
    expect(text).toContain('lorikeet_fleet_engine_ready');
  });
});
