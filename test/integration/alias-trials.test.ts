import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import type { AliasWithHistory, VersionResource } from '#contracts/adapters-api.js';
import type { ShadowReport } from '#contracts/alias-trials.js';
import { formOf, goldenFiles } from '../support/adapter-form.js';
import { Client } from '../support/client.js';
import { answer, finish } from '../support/fake-answers.js';
import type { FakeGeneration } from '../support/fake-engine.js';
import { Platform } from '../support/platform.js';

// What a process has read stays fresh for longer than a test runs: only hearing of a change can renew it.
vi.mock('#stores/fresh-time.js', () => ({ FRESH_MS: 600_000 }));

let platform: Platform;
let acme: Client;
/** The same tenant at another API process. */
let elsewhere: Client;
/** By version, from 1. */
const digests: (string | null)[] = [null];
/** How the engine answers for each version. */
let answers: Record<number, (generation: FakeGeneration) => void>;

beforeAll(async () => {
  platform = await Platform.start();
  acme = await platform.tenant('acme');
  elsewhere = new Client(await platform.startApi(), acme.key);
  for (const name of ['qv-r8', 'rslora-r4', 'dora-r8']) {
    const form = formOf(Object.entries(goldenFiles(name)));
    const path = '/v1/adapters/bot/versions?create=true&wait=60';
    digests.push((await acme.expect<VersionResource>(201, 'POST', path, form)).digest);
  }
  platform.engine.script = (generation) => {
    const version = digests.indexOf(generation.request.adapter ?? null);
    (answers[version] ?? ((each) => answer(each, [1, 2, 3])))(generation);
  };
});
afterAll(() => platform?.close());
beforeEach(() => {
  answers = {};
  platform.engine.requests.length = 0;
});

const path = (alias: string) => `/v1/adapters/bot/aliases/${alias}`;
const put = (alias: string, body: object) => acme.expect<AliasWithHistory>(200, 'PUT', path(alias), body);
const get = (alias: string) => acme.expect<AliasWithHistory>(200, 'GET', path(alias));
const call = (model: string, client = acme, extra: object = {}) =>
  client.call('POST', '/v1/completions', { model, prompt: 'x', ...extra });
const routesOf = ({ routes }: AliasWithHistory) => routes.map(({ version }) => version);
const servedBy = () => platform.engine.requests.map(({ adapter }) => digests.indexOf(adapter ?? null));

describe('an alias', () => {
  it('is changed only at the revision that its writer has read', async () => {
    const ifMatch = (value: string) => new Client(platform.url, acme.key, { 'if-match': value });
    const create = new Client(platform.url, acme.key, { 'if-none-match': '*' });
    const first = await create.call<AliasWithHistory>('PUT', path('cas'), { routes: [{ version: 1 }] });
    expect([first.status, first.headers.get('etag')]).toEqual([200, '"1"']);
    expect((await create.call('PUT', path('cas'), { routes: [{ version: 2 }] })).status).toBe(412);
    const racers = [2, 3].map((version) =>
      ifMatch('"1"').call<AliasWithHistory>('PUT', path('cas'), { routes: [{ version }] }),
    );
    expect((await Promise.all(racers)).map(({ status }) => status).sort()).toEqual([200, 412]);
    expect(await ifMatch('"1"').call('POST', `${path('cas')}/rollback`)).toMatchObject({
      status: 412,
      body: { error: { code: 'precondition_failed' } },
    });
    expect((await ifMatch('"2"').call('POST', `${path('cas')}/rollback`)).headers.get('etag')).toBe('"3"');
    expect((await ifMatch('"2"').call('DELETE', path('cas'))).status).toBe(412);
    expect((await ifMatch('nonsense').call('DELETE', path('cas'))).status).toBe(400);
    expect((await ifMatch('"3"').call('DELETE', path('cas'))).status).toBe(200);
    expect((await ifMatch('*').call('PUT', path('cas'), { routes: [{ version: 1 }] })).status).toBe(412);
    expect((await put('cas', { routes: [{ version: 1 }] })).revision).toBe(4);
  });

  it('has one answer for every process once it was changed, however quickly it is asked', async () => {
    for (const version of [1, 2, 3, 1, 2, 3]) {
      await put('quick', { routes: [{ version }] });
      await call('bot:quick');
      expect(servedBy().at(-1)).toBe(version);
      await vi.waitFor(
        async () => {
          await call('bot:quick', elsewhere);
          expect(servedBy().at(-1)).toBe(version);
        },
        { timeout: 20_000, interval: 20 },
      );
    }
  });
});

/** Until every process has heard of the engine's status as it is now. */
async function untilNoticed(): Promise<void> {
  const polls = platform.engine.statusCalls;
  await vi.waitFor(() => expect(platform.engine.statusCalls).toBeGreaterThan(polls + 6), 30_000);
}

describe('shadow traffic', () => {
  const report = (alias: string) => acme.expect<ShadowReport>(200, 'GET', `${path(alias)}/shadow`);
  const untilCounted = (alias: string, count: number) =>
    vi.waitFor(
      async () => {
        const { requests } = await report(alias);
        expect(requests.compared + requests.failed + requests.dropped).toBe(count);
      },
      { timeout: 15_000, interval: 50 },
    );

  it('asks the candidate after the caller has the answer, and returns nothing of it', async () => {
    await put('dark', { routes: [{ version: 1 }], shadow: { version: 2, share: 1 } });
    answers[2] = (generation) => answer(generation, [1, 9, 3, 4]);
    const plain = await call('bot:latest', acme, { return_token_ids: true });
    expect(plain.status).toBe(200);
    platform.engine.requests.length = 0;
    const { status, body } = await call('bot:dark', acme, { return_token_ids: true, temperature: 1 });
    expect(status).toBe(200);
    expect(body).toMatchObject({ choices: [{ token_ids: [1, 2, 3] }], usage: { completion_tokens: 3 } });
    await untilCounted('dark', 1);
    expect(servedBy()).toEqual([1, 2]);
    const [served, copy] = platform.engine.requests;
    expect(copy?.sampling).toEqual(served?.sampling);
    expect(copy?.sampling.seed).toBeTypeOf('number');
    expect(copy).toMatchObject({ fairnessKey: 'shadow', cacheSalt: served?.cacheSalt });
    expect(await report('dark')).toMatchObject({
      shadow: { version: 2, share: 1 },
      requests: { compared: 1, failed: 0, dropped: 0 },
      agreement: { answers: 1, exact: 0, exact_rate: 0, first_divergence: 1, token_match_rate: 1 / 3 },
      tokens: { completion: 4 },
    });
  });

  it('compares answer by answer, counts what fails by its code, and bills nobody for it', async () => {
    await put('dark2', { routes: [{ version: 1 }], shadow: { version: 2, share: 1 } });
    const made = await platform.admin.expect<{ id: string; key: string }>(
      201,
      'POST',
      '/v1/admin/tenants/acme/keys',
      { name: 'billed', scopes: ['inference'] },
    );
    const billed = new Client(platform.url, made.key); // what was called before by others is none of its usage
    expect((await call('bot:dark2', billed, { n: 2, temperature: 1 })).status).toBe(200);
    await untilCounted('dark2', 1);
    answers[2] = (generation) => generation.refuse('adapter_rejected', 'broken');
    expect((await call('bot:dark2', billed)).status).toBe(200);
    await untilCounted('dark2', 2);
    answers[1] = (generation) => generation.refuse('internal_error', 'broken');
    expect((await call('bot:dark2', billed)).status).toBe(500);
    const result = await report('dark2');
    expect(result).toMatchObject({
      requests: { compared: 1, failed: 1, dropped: 0 },
      agreement: { answers: 2, exact: 2, exact_rate: 1, first_divergence: null },
      errors: { adapter_rejected: 1 },
    });
    expect(result.latency.candidate.ttft_ms).toBeGreaterThan(0);
    const path = `/v1/usage?key=${made.id}`;
    const { data } = await acme.expect<{ data: { completion_tokens: number }[] }>(200, 'GET', path);
    expect(data[0]?.completion_tokens).toBe(9);
  });

  it('gives way under load, and the caller notices nothing', async () => {
    await put('dark3', { routes: [{ version: 1 }], shadow: { version: 2, share: 1 } });
    const { status } = platform.engine;
    platform.engine.status = {
      ...status,
      load: { runningRequests: 8, waitingRequests: 50, queuedTokens: 9 },
    };
    await untilNoticed();
    expect((await call('bot:dark3')).status).toBe(200);
    await untilCounted('dark3', 1);
    expect(servedBy()).toEqual([1]);
    expect((await report('dark3')).requests).toEqual({ compared: 0, failed: 0, dropped: 1 });
    platform.engine.status = status;
    await untilNoticed();
    let abandoned = false;
    answers[2] = (generation) => {
      generation.send({ type: 'start', promptTokens: 1 });
      void generation.abandoned.then(() => (abandoned = true));
    };
    expect((await call('bot:dark3')).status).toBe(200);
    await vi.waitFor(() => expect(servedBy()).toEqual([1, 1, 2]), 15_000);
    platform.engine.status = {
      ...status,
      load: { runningRequests: 8, waitingRequests: 50, queuedTokens: 9 },
    };
    await vi.waitFor(() => expect(abandoned).toBe(true), 15_000);
    await untilCounted('dark3', 2);
    platform.engine.status = status;
    await untilNoticed();
  });

  it('holds its candidate, and ends with a rollback', async () => {
    await acme.expect(409, 'DELETE', '/v1/adapters/bot/versions/2');
    await put('dark', { routes: [{ version: 3 }], shadow: { version: 2, share: 0.5 } });
    const back = await acme.expect<AliasWithHistory>(200, 'POST', `${path('dark')}/rollback`);
    expect([routesOf(back), back.shadow]).toEqual([[1], null]);
    expect(back.history[1]?.shadow).toEqual({ version: 2, share: 0.5 });
    const earlier = await acme.expect<ShadowReport>(200, 'GET', `${path('dark')}/shadow?revision=1`);
    expect(earlier.requests.compared).toBe(1);
    await acme.expect(404, 'GET', `${path('dark')}/shadow?revision=99`);
  });
});

/** What is no version's fault, before the stream and in it. */
const ENGINE_FAILURES: ((generation: FakeGeneration) => void)[] = [
  (generation) => generation.refuse('overloaded', 'busy'),
  (generation) => generation.refuse('engine_unavailable', 'shutting down'),
  (generation) => generation.refuse('invalid_api_key', 'another ENGINE_TOKEN'),
  (generation) => generation.cut(),
  (generation) => {
    generation.send({ type: 'start', promptTokens: 1 }, { type: 'tokens', text: 't', ids: [1] });
    setTimeout(() => generation.cut(), 5);
  },
  (generation) => {
    generation.send({ type: 'start', promptTokens: 1 });
    generation.send({ type: 'error', code: 'internal_error', message: 'a step failed', shared: true });
    generation.end();
  },
  (generation) => {
    generation.raw('{"type":"tokens","text":5}\n');
    generation.end();
  },
];

describe('a guarded change', () => {
  const guard = { max_error_rate: 0.2, min_requests: 10, window_s: 300 };
  const canary = { routes: [{ version: 1 }, { version: 2 }], guard };

  it('goes back by itself when the new version fails, counted over all processes, with the reason told', async () => {
    await put('guarded', { routes: [{ version: 1 }] });
    const armed = await put('guarded', { routes: [{ version: 2 }], guard });
    expect(armed.guard).toMatchObject({ ...guard, versions: [2], fallback: [1] });
    await acme.expect(409, 'DELETE', '/v1/adapters/bot/versions/1');
    answers[2] = (generation) => generation.refuse('internal_error', 'the adapter crashes');
    await vi.waitFor(
      async () => {
        await call('bot:guarded', elsewhere);
        expect(servedBy().at(-1)).toBe(2);
      },
      { timeout: 15_000, interval: 20 },
    );
    platform.engine.requests.length = 0;
    // Neither process meets ten requests itself.
    for (let index = 0; index < 5; index += 1)
      await Promise.all([call('bot:guarded'), call('bot:guarded', elsewhere)]);
    await vi.waitFor(async () => expect(routesOf(await get('guarded'))).toEqual([1]), {
      timeout: 20_000,
      interval: 50,
    });
    const { history, guard: after } = await get('guarded');
    expect(after).toBeNull();
    expect(history.map(({ action }) => action)).toEqual(['guard', 'set', 'set']);
    expect(history[0]).toMatchObject({
      key_id: null,
      breach: { version: 2, bound: 'max_error_rate', limit: 0.2, observed: 1 },
      reason: expect.stringMatching(/^Of 1\d requests to version 2, 100\.0 % failed/) as string,
    });
    expect((await call('bot:guarded')).status).toBe(200);
    const events = await platform.query<{ payload: AliasWithHistory & { change: { action: string } } }>(
      "SELECT payload FROM outbox_events WHERE type = 'adapter.alias.changed' ORDER BY id DESC LIMIT 1",
    );
    expect(events[0]?.payload).toMatchObject({
      object: 'adapter.alias',
      name: 'guarded',
      routes: [{ version: 1, weight: 1 }],
      change: { action: 'guard', breach: { version: 2 } },
    });
  });

  it('stands while the version holds its bounds, and does not blame it for its callers or its load', async () => {
    await put('fine', { routes: [{ version: 1 }] });
    await put('fine', { routes: [{ version: 2 }], guard: { ...guard, min_requests: 5 } });
    for (let index = 0; index < 8; index += 1) await call('bot:fine');
    answers[2] = (generation) => generation.refuse('context_length_exceeded', 'too long');
    for (let index = 0; index < 8; index += 1) await call('bot:fine');
    for (const fails of ENGINE_FAILURES) {
      answers[2] = fails;
      for (let index = 0; index < 6; index += 1) expect((await call('bot:fine')).status).not.toBe(200);
    }
    await acme.expect(200, 'GET', `${path('fine')}/shadow`); // writes what was counted
    expect(routesOf(await get('fine'))).toEqual([2]);
    const rows = await platform.query<{ requests: number; errors: number }>(
      `SELECT (figures->>'requests')::int AS requests, (figures->>'errors')::int AS errors
       FROM alias_figures WHERE alias = 'fine' AND kind = 'guard'`,
    );
    expect(rows).toEqual([{ requests: 8, errors: 0 }]);
  });

  it('goes back when the new version is too slow', async () => {
    await put('slow', { routes: [{ version: 1 }] });
    await put('slow', { routes: canary.routes, guard: { max_tpot_ms: 20, min_requests: 3, window_s: 300 } });
    answers[2] = (generation) => {
      generation.send({ type: 'start', promptTokens: 1 }, { type: 'tokens', text: 't', ids: [1] });
      setTimeout(() => {
        generation.send({ type: 'tokens', text: 't', ids: [2] });
        finish(generation, 2);
      }, 60);
    };
    await vi.waitFor(
      async () => {
        await Promise.all([1, 2, 3, 4].map((user) => call('bot:slow', acme, { user: `u${user}` })));
        expect(routesOf(await get('slow'))).toEqual([1]);
      },
      { timeout: 15_000, interval: 50 },
    );
    expect((await get('slow')).history[0]).toMatchObject({
      action: 'guard',
      breach: { bound: 'max_tpot_ms' },
    });
  });

  it('watches no longer than its window', async () => {
    await put('brief', { routes: [{ version: 1 }] });
    const short = { ...guard, min_requests: 1, window_s: 1 };
    const armed = await put('brief', { routes: [{ version: 2 }], guard: short });
    const until = Date.parse(armed.guard?.until ?? '');
    await vi.waitFor(() => expect(Date.now()).toBeGreaterThan(until), { timeout: 15_000, interval: 50 });
    answers[2] = (generation) => generation.refuse('internal_error', 'crash');
    for (let index = 0; index < 3; index += 1) await call('bot:brief');
    await acme.expect(200, 'GET', `${path('brief')}/shadow`);
    expect(routesOf(await get('brief'))).toEqual([2]);
  });

  it('is refused where there is nothing to watch, to go back to, or to hold it to', async () => {
    const refused = async (alias: string, body: object) =>
      (await acme.expect<{ error: { param: string } }>(400, 'PUT', path(alias), body)).error.param;
    expect(await refused('new', canary)).toBe('guard');
    await put('new', { routes: [{ version: 1 }] });
    expect(await refused('new', { routes: [{ version: 1 }], guard })).toBe('guard');
    expect(await refused('new', { ...canary, guard: { window_s: 60 } })).toBe('guard');
    expect(await refused('new', { ...canary, guard: { ...guard, max_error_rate: 1 } })).toBe(
      'guard.max_error_rate',
    );
    expect(await refused('new', { routes: [{ version: 1 }], shadow: { version: 2, share: 0 } })).toBe(
      'shadow.share',
    );
    await acme.expect(404, 'PUT', path('new'), {
      routes: [{ version: 1 }],
      shadow: { version: 99, share: 1 },
    });
  });
});
