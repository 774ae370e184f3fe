import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pino } from 'pino';
import { Registry } from 'prom-client';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { AdapterManifest } from '#contracts/adapter-manifest.js';
import type { GenerateEvent, GenerateRequest } from '#contracts/engine-protocol.js';
import { FileBlobStore } from '#stores/blobs/file-store.js';
import { FakeNative, type FakeNativeOptions, fakeNext } from '../../../test/support/fake-native.js';
import { InferenceEngine, type InferenceEngineOptions } from './inference-engine.js';
import { Tokenizer } from './tokenizer.js';

const MODEL = join(import.meta.dirname, '../../../test/golden/cases/llama-gqa/model');
const BASE = 'base-digest';
const EOS = 1;
const folder = mkdtempSync(join(tmpdir(), 'lorikeet-serving-'));

let tokenizer: Tokenizer;
let blobs: FileBlobStore;
let digests: readonly string[];
const opened: { engine: InferenceEngine; native: FakeNative }[] = [];

beforeAll(async () => {
  tokenizer = await Tokenizer.load(MODEL);
  blobs = await FileBlobStore.open(folder);
  digests = await Promise.all([1, 2, 3, 4, 5].map(storeAdapter));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));
afterEach(async () => {
  for (const { engine, native } of opened.splice(0)) {
    const { kv, load, adapters } = engine.status();
    // Everything comes back, whatever a test did.
    assert.equal(kv.freePages, kv.pages);
    assert.deepEqual(load, { runningRequests: 0, waitingRequests: 0, queuedTokens: 0 });
    assert.ok(adapters.resident.every((entry) => entry.requests === 0));
    await engine.close(1000);
    assert.ok(native.closed);
  }
});

async function put(text: string): Promise<{ sha256: string; bytes: number }> {
  return blobs.put(Readable.from([Buffer.from(text)]), { limitBytes: 10_000 });
}

async function storeAdapter(n: number): Promise<string> {
  const tensor = { name: 't', dtype: 'F32' as const, shape: [1, 10], begin: 0, end: 40 };
  const manifest: AdapterManifest = {
    format: 'lorikeet.adapter.v1',
    base: BASE,
    weights: await put(`weights ${n}`),
    modules: [{ module: 'm', lora: { rank: 1, scale: n, a: tensor, b: tensor } }],
  };
  return (await put(JSON.stringify(manifest))).sha256;
}

type Overrides = Partial<InferenceEngineOptions['settings']> & Partial<FakeNativeOptions>;

function open(overrides: Overrides = {}): {
  engine: InferenceEngine;
  native: FakeNative;
  registry: Registry;
} {
  const native = new FakeNative({ kvPages: 64, pageTokens: 16, ...overrides });
  const registry = new Registry();
  const { vocabSize, maxPositions, kvPages } = native.description;
  const engine = new InferenceEngine({
    model: {
      native,
      tokenizer,
      templates: new Map(),
      eosTokenIds: [EOS],
      base: {
        name: 'fake',
        digest: BASE,
        architecture: 'FakeForCausalLM',
        hiddenSize: 8,
        numLayers: 1,
        vocabSize,
        maxContext: Math.min(maxPositions, kvPages * 16),
        tieWordEmbeddings: false,
        quantization: 'none',
        modules: [],
      },
    },
    settings: {
      adapterCacheBytes: 1000,
      maxSequences: 8,
      maxStepTokens: 32,
      maxQueuedRequests: 100,
      ...overrides,
    },
    blobs,
    registry,
    logger: pino({ level: 'silent' }),
  });
  opened.push({ engine, native });
  return { engine, native, registry };
}

function request(tokens: readonly number[], overrides: Partial<GenerateRequest> = {}): GenerateRequest {
  return {
    requestId: 'r',
    cacheSalt: 's',
    fairnessKey: 'tenant',
    input: { kind: 'tokens', tokens: [...tokens] },
    maxTokens: 20,
    minTokens: 0,
    ignoreEos: false,
    stop: [],
    stopTokenIds: [],
    includeStop: false,
    sampling: {
      temperature: 0,
      topP: 1,
      minP: 0,
      repetitionPenalty: 1,
      presencePenalty: 0,
      frequencyPenalty: 0,
      logitBias: [],
    },
    returnPromptTokens: false,
    ...overrides,
  };
}

async function collect(events: AsyncIterable<GenerateEvent>): Promise<GenerateEvent[]> {
  const all: GenerateEvent[] = [];
  for await (const event of events) all.push(event);
  return all;
}

const run = async (
  engine: InferenceEngine,
  body: GenerateRequest,
  signal?: AbortSignal,
): Promise<GenerateEvent[]> => collect(await engine.generate(body, signal ?? new AbortController().signal));

const idsOf = (events: readonly GenerateEvent[]): number[] =>
  events.flatMap((event) => (event.type === 'tokens' ? event.ids : []));

function expected(adapter: number, prompt: readonly number[], count: number): number[] {
  const tokens = [...prompt];
  for (let i = 0; i < count; i++) tokens.push(fakeNext(adapter, tokens, 512));
  return tokens.slice(prompt.length);
}

const prompt = (length: number, salt = 1): number[] =>
  Array.from({ length }, (_, i) => 8 + ((i * 37 + salt * 101) % 490));

describe('the inference engine', () => {
  it('gives each of many mixed requests what it gives a request alone', async () => {
    const { engine, native } = open({ kvPages: 40 });
    const lengths = [1, 5, 16, 17, 31, 32, 33, 70, 100, 150, 3, 64];
    const answers = await Promise.all(
      lengths.map((length, i) => {
        const adapter = digests[i % 6];
        return run(engine, request(prompt(length, i), adapter === undefined ? {} : { adapter }));
      }),
    );
    const handleOf = new Map(
      [...native.adapters].map(([handle, spec]) => [spec.modules[0]?.lora?.scale, handle]),
    );
    for (const [i, length] of lengths.entries()) {
      const n = i % 6;
      const handle = n === 5 ? 0 : (handleOf.get(n + 1) ?? -1);
      expect(idsOf(answers[i] ?? []), `request ${i}`).toEqual(expected(handle, prompt(length, i), 20));
    }
    expect(native.maxRows).toBe(32);
  });

  it('preempts when the pages run out, and loses no token', async () => {
    const { engine, registry } = open({ kvPages: 12 });
    const bodies = [1, 2, 3, 4].map((salt) => request(prompt(30, salt), { maxTokens: 60 }));
    const answers = await Promise.all(bodies.map((body) => run(engine, body)));
    for (const [i, answer] of answers.entries()) {
      expect(idsOf(answer)).toEqual(expected(0, prompt(30, i + 1), 60));
    }
    expect(await registry.getSingleMetricAsString('lorikeet_engine_preemptions_total')).not.toMatch(/ 0$/);
  });

  it('serves more adapters than fit at once, each request with its own', async () => {
    const { engine, native } = open({ adapterCacheBytes: 160 });
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, i) => {
        const adapter = digests[i % 5];
        return run(engine, request(prompt(10, i), adapter === undefined ? {} : { adapter }));
      }),
    );
    expect(answers.every((answer) => answer.at(-1)?.type === 'finish')).toBe(true);
    expect(native.adapters.size).toBeLessThanOrEqual(2);
    for (const digest of digests) engine.dropAdapter(digest);
    expect(engine.status().adapters).toMatchObject({ bytes: 0, resident: [] });
    expect(native.adapters.size).toBe(0);
  });

  it('does not hold other requests up while an adapter loads, and fails only its own when it cannot', async () => {
    const { engine, native } = open();
    native.failLoad = 'no such tensor';
    const adapter = digests[0] ?? '';
    const [bad, good] = await Promise.allSettled([
      run(engine, request([5, 6], { adapter })),
      run(engine, request([5, 6])),
    ]);
    expect(bad).toMatchObject({ status: 'rejected', reason: { code: 'adapter_rejected' } });
    expect(good.status === 'fulfilled' && idsOf(good.value)).toEqual(expected(0, [5, 6], 20));
    native.failLoad = undefined;
    expect((await run(engine, request([5, 6], { adapter }))).at(-1)?.type).toBe('finish');
  });

  it('frees the pages of a cancelled request within one step', async () => {
    const { engine, native } = open({ stepTurns: 3 });
    const controller = new AbortController();
    const events = await engine.generate(request(prompt(100), { maxTokens: 400 }), controller.signal);
    for await (const event of events) if (event.type === 'tokens') break; // leaving cancels as well
    await expect.poll(() => engine.status().kv.freePages, { interval: 1 }).toBe(64);
    const reader = collect(await engine.generate(request(prompt(50), { maxTokens: 400 }), controller.signal));
    await expect.poll(() => engine.status().load.runningRequests, { interval: 1 }).toBe(1);
    const { steps } = native;
    controller.abort();
    expect((await reader).at(-1)).toMatchObject({ type: 'error', code: 'client_closed_request' });
    expect(native.steps - steps).toBeLessThanOrEqual(1);
    expect(engine.status().kv.freePages).toBe(64);
  });

  it('fails only the requests of a step that failed, and goes on', async () => {
    const { engine, native } = open();
    native.failStep = 2;
    const [first, second] = await Promise.all([
      run(engine, request(prompt(5))),
      run(engine, request(prompt(6))),
    ]);
    expect(first.at(-1)).toMatchObject({ type: 'error', code: 'internal_error' });
    expect(second.at(-1)).toMatchObject({ type: 'error', code: 'internal_error' });
    expect(idsOf(await run(engine, request(prompt(5))))).toEqual(expected(0, prompt(5), 20));
  });

  it('ends a request whose scores are not finite, and no other', async () => {
    const { engine, native } = open();
    native.poisonToken = 500;
    const [bad, good] = await Promise.all([
      run(engine, request([5, 500])),
      run(engine, request([5, 499], { maxTokens: 3 })),
    ]);
    expect(bad.at(-1)).toMatchObject({ type: 'error', code: 'internal_error' });
    expect(good.at(-1)).toMatchObject({ type: 'finish' });
  });

  it('bans the end of sequence until min_tokens, and obeys it after', async () => {
    const { engine } = open();
    const logitBias = [{ token: EOS, bias: 100 }];
    const body = request([5, 6]);
    const sampling = { ...body.sampling, logitBias };
    const early = await run(engine, { ...body, sampling });
    expect(idsOf(early)).toEqual([EOS]);
    expect(early.at(-1)).toMatchObject({ reason: 'stop', stopReason: null, usage: { completionTokens: 1 } });
    const late = await run(engine, { ...body, sampling, minTokens: 4 });
    expect(idsOf(late)).toHaveLength(5);
    expect(idsOf(late).at(-1)).toBe(EOS);
    const never = await run(engine, { ...body, sampling, ignoreEos: true, maxTokens: 6 });
    expect(idsOf(never)).toEqual([1, 1, 1, 1, 1, 1]);
  });

  it("gives penalties the prompt's and the generated tokens", async () => {
    const { engine } = open();
    const body = request(prompt(40), { maxTokens: 200 });
    const ids = idsOf(await run(engine, { ...body, sampling: { ...body.sampling, repetitionPenalty: 1.2 } }));
    expect(new Set([...prompt(40), ...ids]).size).toBe(new Set(prompt(40)).size + 200);
  });

  it('repeats a draw for the same seed, and draws anew without one', async () => {
    const { engine } = open();
    const draw = async (seed?: number): Promise<number[]> => {
      const body = request(prompt(9));
      const sampling = { ...body.sampling, temperature: 1, ...(seed === undefined ? {} : { seed }) };
      return idsOf(await run(engine, { ...body, sampling }));
    };
    expect(await draw(-5)).toEqual(await draw(-5));
    expect(await draw()).not.toEqual(await draw());
  });

  it('scores every prompt token but the first once, whatever the chunks and preemptions', async () => {
    const { engine } = open({ kvPages: 10, maxPositions: 160 });
    const bodies = [1, 2, 3].map((salt) =>
      request(prompt(75, salt), { promptLogprobs: 1, maxTokens: salt === 3 ? 0 : 40 }),
    );
    const answers = await Promise.all(bodies.map((body) => run(engine, body)));
    for (const [i, answer] of answers.entries()) {
      const tokens = prompt(75, i + 1);
      const scored = answer.find((event) => event.type === 'prompt');
      expect(scored?.tokens.map((token) => token.id)).toEqual(tokens);
      for (const [at, token] of (scored?.tokens ?? []).entries()) {
        const best = at === 0 ? undefined : fakeNext(0, tokens.slice(0, at), 512);
        expect(token.top[0]?.id).toBe(best);
      }
      expect(answer.map((event) => event.type).slice(0, 2)).toEqual(['start', 'prompt']);
      expect(answer.at(-1)).toMatchObject({ usage: { completionTokens: i === 2 ? 0 : 40 } });
    }
  });

  it("places every prompt token in the prompt's text", async () => {
    const { engine } = open();
    const text = 'hello <|user|>world é 🦜';
    const body = request([], { input: { kind: 'text', text }, promptLogprobs: 0, maxTokens: 0 });
    const scored = (await run(engine, body)).find((event) => event.type === 'prompt');
    expect(scored?.text).toBe(text);
    expect(scored?.tokens.every((token) => token.textOffset <= text.length)).toBe(true);
    const user = scored?.tokens.find((token) => token.text === '<|user|>');
    expect(text.slice(user?.textOffset)).toMatch(/^<\|user\|>/);
  });

  it('answers at once when there is nothing to compute', async () => {
    const { engine, native } = open();
    const none = await run(engine, request([5, 6, 7], { maxTokens: 0, returnPromptTokens: true }));
    expect(none.map((event) => event.type)).toEqual(['start', 'finish']);
    expect(none[0]).toMatchObject({ promptTokens: 3, promptTokenIds: [5, 6, 7] });
    const one = await run(engine, request([5], { maxTokens: 0, promptLogprobs: 1 }));
    expect(one.map((event) => event.type)).toEqual(['start', 'prompt', 'finish']);
    expect(native.steps).toBe(0);
  });

  it('ends by length where the context ends', async () => {
    const { engine } = open({ maxPositions: 40 });
    const { maxTokens: _, ...unlimited } = request(prompt(30));
    const events = await run(engine, unlimited);
    expect(idsOf(events)).toHaveLength(10);
    expect(events.at(-1)).toMatchObject({ type: 'finish', reason: 'length' });
    await expect(run(engine, request(prompt(40)))).rejects.toMatchObject({ code: 'context_length_exceeded' });
  });

  it('refuses requests when too many wait', async () => {
    const { engine } = open({ maxSequences: 1, maxQueuedRequests: 2 });
    const outcomes = await Promise.allSettled(
      [1, 2, 3, 4].map((salt) => run(engine, request(prompt(5, salt)))),
    );
    expect(outcomes.map((outcome) => outcome.status)).toEqual([
      'fulfilled',
      'fulfilled',
      'fulfilled',
      'rejected',
    ]);
    expect((outcomes[3] as PromiseRejectedResult).reason).toMatchObject({ code: 'overloaded', status: 503 });
  });

  it('pauses a request whose reader is slow, and loses nothing of it', async () => {
    const { engine, native } = open({ maxPositions: 1000 });
    const events = await engine.generate(request([5, 6], { maxTokens: 900 }), new AbortController().signal);
    await expect.poll(() => native.steps).toBeGreaterThan(500);
    await expect
      .poll(async () => {
        const before = native.steps;
        await new Promise((resolve) => setTimeout(resolve, 50));
        return native.steps - before;
      })
      .toBe(0);
    expect(native.steps).toBeLessThan(600);
    // Others go on meanwhile.
    expect((await run(engine, request([9]))).at(-1)?.type).toBe('finish');
    expect(idsOf(await collect(events))).toEqual(expected(0, [5, 6], 900));
  });

  it('does nothing while nobody asks', async () => {
    const { engine, native } = open();
    await run(engine, request([5]));
    const { steps } = native;
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(native.steps).toBe(steps);
  });

  it('lets running requests end when it closes, and takes no new ones', async () => {
    const { engine, native } = open();
    opened.pop();
    const running = run(engine, request([5], { maxTokens: 50 }));
    await expect.poll(() => native.steps, { interval: 1 }).toBeGreaterThan(0);
    const closed = engine.close(15_000);
    await expect(run(engine, request([5]))).rejects.toMatchObject({ code: 'engine_unavailable' });
    expect(idsOf(await running)).toHaveLength(50);
    await closed;
    expect(native.closed).toBe(true);
  });

  it('fails requests that take longer than it may wait when it closes', async () => {
    const { engine, native } = open({ maxPositions: 1000, stepTurns: 1000 });
    opened.pop();
    const running = run(engine, request([6], { maxTokens: 900 }));
    await expect.poll(() => native.steps, { interval: 1 }).toBeGreaterThan(0);
    await engine.close(1);
    expect((await running).at(-1)).toMatchObject({ type: 'error', code: 'engine_unavailable' });
    expect(engine.status().kv.freePages).toBe(64);
    expect(native.closed).toBe(true);
  });

  it('refuses an adapter of another base and one that it does not know', async () => {
    const { engine } = open();
    const foreign = JSON.stringify({
      ...JSON.parse((await blobs.read(digests[0] ?? '', 10_000)).toString()),
      base: 'x',
    });
    const adapter = (await put(foreign)).sha256;
    await expect(run(engine, request([5], { adapter }))).rejects.toMatchObject({ code: 'adapter_rejected' });
    await expect(run(engine, request([5], { adapter: '0'.repeat(64) }))).rejects.toMatchObject({
      code: 'model_not_found',
    });
  });
});
