import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { chatInput } from '#contracts/chat-input.js';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  type EngineStatus,
  EngineStatusSchema,
  type GenerateEvent,
  GenerateEventSchema,
  type GenerateRequest,
} from '#contracts/engine-protocol.js';
import { parseSettings } from '#runtime/settings.js';
import { openBlobStore, storageSettings } from '#stores/blobs/open-blob-store.js';
import { finishOf, generateRequest, idsOf, textOf } from '../../../test/support/generate-request.js';
import { comparableTokens, type GoldenRun, loadGolden } from '../../../test/support/golden.js';
import { storePlainLora } from '../../../test/support/plain-lora.js';
import { type EngineProcess, startEngine } from './engine-process.js';
import { engineSettings } from './settings.js';

const TOKEN = 'a-token-of-the-engine-test';
const ADAPTERS = ['qv-r8', 'all-r16-bf16', 'rslora-r4'];
const golden = loadGolden('cases/llama-gqa');

type PromptEvent = Extract<GenerateEvent, { type: 'prompt' }>;

let engine: EngineProcess;
let url: string;
let folder: string;
const digests = new Map<string, string>();

beforeAll(async () => {
  if (!existsSync(join(golden.modelPath, '../../../../../build/native/lorikeet.node'))) {
    throw new Error('build/native/lorikeet.node is missing: run "npm run build" before this test');
  }
  folder = mkdtempSync(join(tmpdir(), 'lorikeet-engine-'));
  const storageUrl = pathToFileURL(join(folder, 'blobs')).href;
  const settings = parseSettings(engineSettings, {
    MODEL_PATH: golden.modelPath,
    MODEL_NAME: 'golden',
    ENGINE_PORT: '0',
    ENGINE_TOKEN: TOKEN,
    STORAGE_URL: storageUrl,
    DATA_DIR: folder,
    LOG_LEVEL: 'error',
    THREADS: '1',
    MAX_STEP_TOKENS: '96',
  });
  engine = await startEngine(settings);
  url = `http://127.0.0.1:${(engine.app.getHttpServer().address() as AddressInfo).port}`;
  await engine.loaded;
  const blobs = await openBlobStore(parseSettings(storageSettings, { STORAGE_URL: storageUrl }));
  const base = (await status()).base?.digest ?? '';
  for (const name of ADAPTERS) {
    digests.set(name, await storePlainLora(blobs, join(golden.folder, 'adapters', name), base));
  }
}, 60_000);

afterAll(async () => {
  for (const closable of engine?.closables ?? []) await closable.close();
  rmSync(folder, { recursive: true, force: true });
});

const call = (method: string, path: string, body?: unknown, signal?: AbortSignal): Promise<Response> =>
  fetch(url + path, {
    method,
    headers: {
      authorization: `Bearer ${TOKEN}`,
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    ...(signal ? { signal } : {}),
  });

async function status(): Promise<EngineStatus> {
  return EngineStatusSchema.parse(await (await call('GET', '/status')).json());
}

const request = (
  input: GenerateRequest['input'],
  overrides: Partial<GenerateRequest> = {},
): GenerateRequest => generateRequest(input, { ignoreEos: true, ...overrides });

async function events(body: GenerateRequest): Promise<GenerateEvent[]> {
  const response = await call('POST', '/generate', body);
  const text = await response.text();
  if (response.status !== 200) throw new Error(`${response.status}: ${text}`);
  return text
    .trim()
    .split('\n')
    .map((line) => GenerateEventSchema.parse(JSON.parse(line)));
}

const promptOf = (run: GoldenRun): number[] => [...(golden.prompts[run.prompt] ?? [])];
const adapterOf = (run: GoldenRun): { adapter?: string } => {
  const adapter = run.adapter === null ? undefined : digests.get(run.adapter);
  return adapter === undefined ? {} : { adapter };
};
const runs = golden.runs.filter((run) => run.adapter === null || ADAPTERS.includes(run.adapter));

describe('the engine over HTTP with a real model', () => {
  it("gives the golden model's greedy tokens for the base and all adapters in one batch", async () => {
    const answers = await Promise.all(
      runs.map((run) =>
        events(
          request(
            { kind: 'tokens', tokens: promptOf(run) },
            { maxTokens: run.greedy_ids.length, ...adapterOf(run) },
          ),
        ),
      ),
    );
    for (const [i, run] of runs.entries()) {
      const count = comparableTokens(run);
      const got = idsOf(answers[i] ?? []);
      expect(got.slice(0, count), `${run.adapter} prompt ${run.prompt}`).toEqual(
        run.greedy_ids.slice(0, count),
      );
      expect(finishOf(answers[i] ?? [])).toMatchObject({
        reason: 'length',
        usage: {
          promptTokens: promptOf(run).length,
          completionTokens: run.greedy_ids.length,
        },
      });
    }
  });

  it("scores a prompt within 0.02 of Transformers' log-probabilities, in chunks and without generating", async () => {
    for (const run of runs.filter((run) => run.prompt === 3)) {
      const all = await events(
        request(
          { kind: 'tokens', tokens: [...promptOf(run), ...run.greedy_ids] },
          { maxTokens: 0, promptLogprobs: 2, ...adapterOf(run) },
        ),
      );
      const prompt = all.find((event): event is PromptEvent => event.type === 'prompt');
      const want = [...run.prompt_logprobs, ...run.greedy_logprobs];
      expect(prompt?.tokens.length).toBe(want.length);
      expect(prompt?.tokens[0]?.logprob).toBeNull();
      expect(prompt?.tokens[1]?.top).toHaveLength(2);
      const worst = Math.max(
        ...want.slice(1).map((w, i) => Math.abs((w ?? 0) - (prompt?.tokens[i + 1]?.logprob ?? Number.NaN))),
      );
      expect(worst, `${run.adapter}`).toBeLessThan(0.02);
      expect(finishOf(all)).toMatchObject({ reason: 'length', usage: { completionTokens: 0 } });
    }
  });

  it('renders a chat, streams text and stops at a stop string that it does not show', async () => {
    const chat = chatInput({
      messages: [{ role: 'user', content: 'hello world' }],
      addGenerationPrompt: true,
    });
    const all = await events(request(chat, { maxTokens: 24, returnPromptTokens: true, logprobs: 3 }));
    const start = all.find((event) => event.type === 'start');
    expect(start?.promptTokenIds?.slice(0, 2)).toEqual([0, 4]); // one <|bos|>, then <|user|>
    const scored = all.flatMap((event) => (event.type === 'tokens' ? (event.scored ?? []) : []));
    expect(scored.map((token) => token.id)).toEqual(idsOf(all));
    expect(scored[0]?.top).toHaveLength(3);
    expect(scored[0]?.top[0]?.id).toBe(scored[0]?.id);
    const text = textOf(all);
    const stop = text.slice(8, 11);
    const stopped = await events(request(chat, { maxTokens: 24, stop: [stop] }));
    expect(textOf(stopped)).toBe(text.slice(0, text.indexOf(stop)));
    expect(finishOf(stopped)).toMatchObject({ reason: 'stop', stopReason: stop });
  });

  it('draws the same tokens for the same seed and others for another', async () => {
    const draw = async (seed: number): Promise<number[]> => {
      const base = request({ kind: 'text', text: 'once upon a time' }, { maxTokens: 16 });
      return idsOf(await events({ ...base, sampling: { ...base.sampling, temperature: 1.5, seed } }));
    };
    const [first, again, other] = await Promise.all([draw(7), draw(7), draw(8)]);
    expect(again).toEqual(first);
    expect(other).not.toEqual(first);
  });

  it('gives bit for bit the same with cached prefixes as without, for the base and an adapter', async () => {
    type Tokens = Extract<GenerateEvent, { type: 'tokens' }>;
    const scoredOf = (all: GenerateEvent[]) =>
      all
        .filter((event): event is Tokens => event.type === 'tokens')
        .flatMap((event) => event.scored ?? [])
        .map(({ id, logprob, top }) => ({ id, logprob, top: top.map((choice) => choice.logprob) }));
    const adapter = digests.get('all-r16-bf16') ?? '';
    for (const scope of [{}, { adapter }]) {
      const ask = (tokens: number[], cacheSalt: string) =>
        events(request({ kind: 'tokens', tokens }, { ...scope, cacheSalt, maxTokens: 21, logprobs: 3 }));
      const opening = Array.from({ length: 75 }, (_, i) => 8 + ((i * 53) % 480));
      const first = await ask(opening, 'chat');
      const turn = [...opening, ...idsOf(first), 300, 301, 302];
      const cached = await ask(turn, 'chat');
      const alone = await ask(turn, 'nobody');
      expect(finishOf(cached)?.usage.cachedTokens).toBe(75 + 20);
      expect(finishOf(alone)?.usage.cachedTokens).toBe(0);
      expect(scoredOf(cached)).toEqual(scoredOf(alone));
      const again = await ask(opening, 'chat');
      expect(finishOf(again)?.usage.cachedTokens).toBe(74);
      expect(scoredOf(again)).toEqual(scoredOf(first));
    }
  });

  it('answers faults found before the stream with their status and code', async () => {
    const tooLong = request({ kind: 'tokens', tokens: Array.from({ length: 513 }, () => 5) });
    const cases: [unknown, number, string][] = [
      [{ nonsense: true }, 400, 'invalid_request'],
      [request({ kind: 'tokens', tokens: [] }), 400, 'invalid_request'],
      [request({ kind: 'tokens', tokens: [512] }), 400, 'invalid_request'],
      [tooLong, 400, 'context_length_exceeded'],
      [request({ kind: 'tokens', tokens: [1] }, { adapter: 'f'.repeat(64) }), 404, 'model_not_found'],
      [request({ kind: 'tokens', tokens: [1] }, { adapter: 'Production' }), 400, 'invalid_request'],
    ];
    for (const [body, wantStatus, code] of cases) {
      const response = await call('POST', '/generate', body);
      const answer = (await response.json()) as { error: { code: string; message: string } };
      expect({ status: response.status, ...answer.error }).toMatchObject({ status: wantStatus, code });
    }
  });

  it('frees a request whose client goes away', async () => {
    const controller = new AbortController();
    const response = await call(
      'POST',
      '/generate',
      request({ kind: 'tokens', tokens: [5, 6, 7] }, { maxTokens: 500 }),
      controller.signal,
    );
    await response.body?.getReader().read();
    controller.abort();
    await expect.poll(async () => (await status()).load.runningRequests, { timeout: 10_000 }).toBe(0);
    const { kv } = await status();
    expect(kv.freePages).toBe(kv.pages);
  });

  it('finishes what it runs when it is drained, and takes nothing new until it is undrained', async () => {
    const long = request({ kind: 'tokens', tokens: [5, 6, 7] }, { maxTokens: 200 });
    const running = await call('POST', '/generate', long);
    expect((await call('POST', '/drain')).status).toBe(204);
    expect(await status()).toMatchObject({ state: 'draining', startedAt: expect.any(String) as string });
    const refused = await call('POST', '/generate', long);
    expect([refused.status, await refused.json()]).toMatchObject([
      503,
      { error: { code: 'engine_unavailable' } },
    ]);
    expect((await fetch(`${url}/health/ready`)).status).toBe(503);
    expect(await running.text()).toContain('"finish"');
    expect((await call('POST', '/undrain')).status).toBe(204);
    expect(await status()).toMatchObject({ state: 'ready' });
    expect(finishOf(await events({ ...long, maxTokens: 1 }))).toMatchObject({ reason: 'length' });
  });

  it('drops an adapter and says that its memory is gone', async () => {
    const digest = digests.get('qv-r8') ?? '';
    expect((await call('POST', `/adapters/${digest}`)).status).toBe(204);
    const before = await status();
    expect(before.adapters.resident.map((entry) => entry.digest)).toContain(digest);
    expect((await call('DELETE', `/adapters/${digest}`)).status).toBe(204);
    const after = await status();
    expect(after.adapters.resident.map((entry) => entry.digest)).not.toContain(digest);
    expect(after.adapters.bytes).toBeLessThan(before.adapters.bytes);
  });

  it('asks for its token everywhere but at the health checks', async () => {
    for (const path of ['/status', '/metrics']) expect((await fetch(url + path)).status).toBe(401);
    expect((await fetch(`${url}/health/ready`)).status).toBe(200);
    expect((await fetch(`${url}/health/live`)).status).toBe(200);
    const metrics = await (await call('GET', '/metrics')).text();
    expect(metrics).toContain('lorikeet_engine_ttft_seconds_count');
  });
});
