import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CONFIG, goldenFiles, WEIGHTS } from '../support/adapter-form.js';
import { ArtifactServer } from '../support/artifact-server.js';
import type { Client } from '../support/client.js';
import type { FakeGeneration } from '../support/fake-engine.js';
import { Platform } from '../support/platform.js';
import { postSigned, until } from '../support/webhooks.js';

let platform: Platform;
let acme: Client;
let storage: ArtifactServer;
let artifact: { url: string };
beforeAll(async () => {
  platform = await Platform.start({ env: { ALLOW_PRIVATE_IMPORTS: 'true' } });
  storage = await ArtifactServer.start();
  artifact = { url: storage.put('good', goldenFiles('qv-r8')) };
  acme = await platform.tenant('acme');
});
afterAll(async () => {
  await storage?.close();
  await platform?.close();
});

interface Hook {
  readonly id: string;
  readonly url: string;
  readonly secret: string;
}
interface Delivery {
  readonly id: string;
  readonly state: string;
  readonly version: number | null;
  readonly reason: string | null;
  readonly promotion: {
    readonly promoted: boolean;
    readonly reason: string;
    readonly score: number | null;
    readonly results: readonly { passed: boolean; answer: string | null; expected: string }[];
  } | null;
}

const makeHook = (body: object) => acme.expect<Hook>(201, 'POST', '/v1/hooks', { name: 'ci', ...body });
const announce = (hook: Hook, data: object = {}, id?: string) =>
  postSigned<Delivery>(
    hook.url,
    hook.secret,
    { type: 'fine_tuning.job.succeeded', data: { job_id: 'run-1', artifact, ...data } },
    id === undefined ? {} : { id },
  );
const DONE = ['succeeded', 'failed'];
async function finished(hook: Hook, data: object = {}): Promise<Delivery> {
  const { status, body } = await announce(hook, data);
  expect([status, body]).toMatchObject([202, { state: 'accepted' }]);
  const path = `/v1/hooks/${hook.id}/deliveries/${body.id}`;
  return until(
    () => acme.expect<Delivery>(200, 'GET', path),
    ({ state }) => DONE.includes(state),
  );
}
const routesOf = async (adapter: string, alias: string) =>
  (
    await acme.expect<{ routes: { version: number }[] }>(
      200,
      'GET',
      `/v1/adapters/${adapter}/aliases/${alias}`,
    )
  ).routes;

/** The engine says this to every prompt. */
function engineSays(text: string): void {
  platform.engine.script = (generation: FakeGeneration) => {
    generation.send(
      { type: 'start', promptTokens: 3 },
      { type: 'tokens', text, ids: [1, 2] },
      {
        type: 'finish',
        reason: 'stop',
        stopReason: null,
        text: '',
        usage: { promptTokens: 3, cachedTokens: 0, completionTokens: 2 },
        timing: { queue_ms: 0, ttft_ms: 1, total_ms: 2 },
      },
    );
    generation.end();
  };
}

describe('an announced artifact', () => {
  it('becomes a ready version with its lineage, of an adapter made for it', async () => {
    const hook = await makeHook({});
    const done = await finished(hook, { adapter: 'new-bot', job_id: 'run-7', metrics: { eval_loss: 0.25 } });
    expect(done).toMatchObject({ state: 'succeeded', version: 1, reason: null, promotion: null });
    expect(await acme.expect(200, 'GET', '/v1/adapters/new-bot/versions/1')).toMatchObject({
      state: 'ready',
      training_job: 'run-7',
      metrics: { eval_loss: 0.25 },
      source: expect.stringContaining('/good/') as string,
    });
  });

  it('may lie in two files anywhere, and its weights may be held to a hash', async () => {
    const hook = await makeHook({ adapter: 'two-files' });
    const files = goldenFiles('qv-r8');
    storage.files.set('/c.json', files[CONFIG] as Uint8Array);
    storage.files.set('/w.bin', files[WEIGHTS] as Uint8Array);
    const urls = { config_url: `${storage.url}/c.json`, weights_url: `${storage.url}/w.bin` };
    const sha256 = createHash('sha256')
      .update(files[WEIGHTS] as Uint8Array)
      .digest('hex');
    expect(await finished(hook, { artifact: urls, sha256 })).toMatchObject({
      state: 'succeeded',
      version: 1,
    });
    const wrong = await finished(hook, { artifact: urls, sha256: '0'.repeat(64) });
    expect(wrong).toMatchObject({ state: 'failed', reason: expect.stringMatching(/sha-?256/i) as string });
  });

  it('that cannot be served fails the delivery with the reason', async () => {
    const hook = await makeHook({ adapter: 'broken' });
    const url = storage.put('broken', {
      ...goldenFiles('qv-r8'),
      [CONFIG]: Buffer.from('{"peft_type":"LORA"}'),
    });
    expect(await finished(hook, { artifact: { url } })).toMatchObject({
      state: 'failed',
      reason: expect.stringContaining('broken@1 was rejected') as string,
    });
    const named = await finished(await makeHook({}), { adapter: 'llama-gqa' });
    expect(named).toMatchObject({ state: 'failed', reason: "llama-gqa is the base model's name." });
    const missing = await finished(hook, { artifact: { url: `${storage.url}/nowhere/` } });
    expect(missing).toMatchObject({
      state: 'failed',
      reason: expect.stringContaining('no adapter_config.json') as string,
    });
  });

  it('makes one version, however often and at once its event comes', async () => {
    const hook = await makeHook({ adapter: 'once' });
    await Promise.all(Array.from({ length: 8 }, () => announce(hook, {}, 'the-same')));
    await until(
      () => acme.expect<{ data: Delivery[] }>(200, 'GET', `/v1/hooks/${hook.id}/deliveries`),
      ({ data }) => data.length === 1 && data[0]?.state === 'succeeded',
    );
    await announce(hook, {}, 'the-same');
    const versions = await acme.expect<{ data: unknown[] }>(200, 'GET', '/v1/adapters/once/versions');
    expect(versions.data).toHaveLength(1);
  });
});

describe("a hook's policy", () => {
  const evaluate = (min_score: number) => ({
    prompts: [
      { prompt: 'capital of France?', expected: 'Paris', match: 'contains' },
      { messages: [{ role: 'user', content: 'and of Italy?' }], expected: '^It is \\w+\\.$', match: 'regex' },
      { prompt: 'exactly?', expected: 'It is Rome.' },
    ],
    min_score,
    max_tokens: 8,
  });

  it('points the alias at every ready version when it sets no condition', async () => {
    const hook = await makeHook({ adapter: 'plain', promote: 'production' });
    expect(await finished(hook)).toMatchObject({
      state: 'succeeded',
      promotion: { promoted: true, score: null },
    });
    expect(await routesOf('plain', 'production')).toMatchObject([{ version: 1 }]);
    const { history } = await acme.expect<{ history: { key_id: string }[] }>(
      200,
      'GET',
      '/v1/adapters/plain/aliases/production',
    );
    expect(history[0]?.key_id).toBe(hook.id);
  });

  it('asks the new version greedily, and promotes it when the score holds', async () => {
    engineSays('It is Paris.');
    const hook = await makeHook({
      adapter: 'asked',
      promote: { alias: 'production', evaluate: evaluate(0.6) },
    });
    const before = platform.engine.requests.length;
    const { promotion } = await finished(hook);
    expect(promotion).toMatchObject({
      promoted: true,
      score: 2 / 3,
      min_score: 0.6,
      results: [
        { index: 0, passed: true, answer: 'It is Paris.' },
        { index: 1, passed: true },
        { index: 2, passed: false, expected: 'It is Rome.' },
      ],
    });
    const asked = platform.engine.requests.slice(before);
    const { digest } = await acme.expect<{ digest: string }>(200, 'GET', '/v1/adapters/asked/versions/1');
    expect(asked).toHaveLength(3);
    for (const request of asked)
      expect(request).toMatchObject({ adapter: digest, maxTokens: 8, sampling: { temperature: 0 } });
    expect(await routesOf('asked', 'production')).toMatchObject([{ version: 1 }]);
  });

  it('leaves the alias where it is when the score does not hold, and says why', async () => {
    engineSays('It is Rome.');
    const hook = await makeHook({
      adapter: 'held',
      promote: { alias: 'production', evaluate: evaluate(0.6) },
    });
    await finished(hook);
    engineSays('No idea');
    const second = await finished(hook);
    expect(second).toMatchObject({
      state: 'succeeded',
      version: 2,
      promotion: { promoted: false, score: 0, reason: expect.stringContaining('is below 0.6') as string },
    });
    expect(second.promotion?.results.map(({ answer }) => answer)).toEqual(['No idea', 'No idea', 'No idea']);
    expect(await routesOf('held', 'production')).toMatchObject([{ version: 1 }]);
  });

  it('never moves an alias back to an older version', async () => {
    engineSays('It is Paris.');
    const hook = await makeHook({ adapter: 'late', promote: 'production' });
    let release: () => void = () => undefined;
    const held = new Promise<void>((resolve) => (release = resolve));
    const slow = await makeHook({ adapter: 'late', promote: { alias: 'production', evaluate: evaluate(0) } });
    platform.engine.script = async (generation) => {
      await held;
      generation.send({
        type: 'finish',
        reason: 'stop',
        stopReason: null,
        text: '',
        usage: { promptTokens: 1, cachedTokens: 0, completionTokens: 1 },
        timing: { queue_ms: 0, ttft_ms: 1, total_ms: 1 },
      });
      generation.end();
    };
    const first = finished(slow);
    await until(
      () => acme.call<{ state?: string }>('GET', '/v1/adapters/late/versions/1'),
      ({ body }) => body.state === 'ready',
    );
    expect(await finished(hook)).toMatchObject({ version: 2, promotion: { promoted: true } });
    release();
    expect(await first).toMatchObject({
      version: 1,
      promotion: { promoted: false, reason: expect.stringContaining('version 2') as string },
    });
    expect(await routesOf('late', 'production')).toMatchObject([{ version: 2 }]);
  });

  it('waits for an engine that is away instead of failing', async () => {
    let refusals = 2;
    platform.engine.script = (generation) => {
      if (refusals-- > 0) return generation.refuse('engine_unavailable', 'restarting');
      engineSays('It is Rome.');
      return platform.engine.script(generation);
    };
    const hook = await makeHook({
      adapter: 'patient',
      promote: { alias: 'production', evaluate: evaluate(0.5) },
    });
    expect(await finished(hook)).toMatchObject({ promotion: { promoted: true } });
    expect(refusals).toBeLessThanOrEqual(0);
  });
});
