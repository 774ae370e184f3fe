import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { VersionResource } from '#contracts/adapters-api.js';
import type { BaseMoveResource, MovedVersion } from '#contracts/base-moves-api.js';
import type { BaseModel } from '#contracts/base-model.js';
import type { List } from '#contracts/resource.js';
import { lorikeet } from '../support/cli.js';
import type { Answer, Client } from '../support/client.js';
import { answerText } from '../support/fake-answers.js';
import type { FakeGeneration } from '../support/fake-engine.js';
import { goldenFolder } from '../support/golden-base.js';
import { NEXT_BASE, OLD_BASE } from '../support/next-base.js';
import { ADMIN_KEY, Platform } from '../support/platform.js';
import { until } from '../support/webhooks.js';

const folder = (name: string): string => join(goldenFolder('llama-gqa'), 'adapters', name);

let platform: Platform;
let acme: Client;
/** While it is false, prompts of evaluations are not answered. */
let answering = true;
let waiting: FakeGeneration[] = [];

beforeAll(async () => {
  platform = await Platform.start();
  platform.engine.script = (generation) => {
    if (answering) return answerText('Paris')(generation);
    waiting.push(generation);
    return undefined;
  };
  acme = await platform.tenant('acme');
  for (const [name, files] of [
    ['tickets', 'qv-r8'],
    ['tickets', 'rslora-r4'],
    ['mails', 'qv-r8'],
    ['words', 'save-lm-head'],
  ] as const)
    await acme.uploadFolder(name, folder(files));
  await acme.expect(200, 'PUT', '/v1/adapters/tickets/aliases/production', { routes: [{ version: 1 }] });
  await acme.expect(200, 'PUT', '/v1/evaluation-sets/capitals', {
    prompts: [
      { prompt: 'Capital of France?', expected: 'Paris' },
      { prompt: 'Capital of Italy?', expected: 'Rome' },
    ],
  });
  await acme.expect(201, 'POST', '/v1/hooks', {
    name: 'nightly',
    adapter: 'tickets',
    promote: { alias: 'production', evaluate: { set: 'capitals', min_score: 0.5 } },
  });
  await serve(NEXT_BASE);
}, 120_000);
afterAll(() => platform?.close());

const serve = async (base: BaseModel): Promise<void> => {
  platform.engine.status = { ...platform.engine.status, base };
  await until(
    () => acme.expect<List<{ id: string }>>(200, 'GET', '/v1/models'),
    ({ data }) => data[0]?.id === base.name,
  );
};
const start = (order: object = {}): Promise<Answer<BaseMoveResource>> =>
  acme.call<BaseMoveResource>('POST', '/v1/base-moves', order);
const get = (id: string) => acme.expect<BaseMoveResource>(200, 'GET', `/v1/base-moves/${id}`);
const ended = async (id: string): Promise<BaseMoveResource> => {
  await expect.poll(async () => (await get(id)).state, { timeout: 30_000 }).not.toBe('running');
  return get(id);
};
const report = async (id: string, query = ''): Promise<readonly MovedVersion[]> =>
  (await acme.expect<List<MovedVersion>>(200, 'GET', `/v1/base-moves/${id}/versions${query}`)).data;
const ask = (model: string) =>
  acme.call<{ error?: { message: string } }>('POST', '/v1/completions', { model, prompt: 'x' });
const release = (text: string): void => {
  answering = true;
  for (const generation of waiting.splice(0)) void answerText(text)(generation);
};

describe('a move of all adapters to a new base', () => {
  let first: BaseMoveResource;

  it('lets nothing answer before it is judged, and is one move however often it is ordered', async () => {
    answering = false;
    const started = await start();
    expect(started).toMatchObject({
      status: 202,
      body: {
        object: 'base_move',
        base_model: 'llama-next',
        base_digest: NEXT_BASE.digest,
        adapter: null,
        policy: { unevaluated: 'leave', rejected: false },
        state: 'running',
      },
    });
    first = started.body;
    await expect.poll(() => waiting.length).toBe(4); // two prompts to each version of tickets
    expect(await report(first.id, '?state=evaluating')).toMatchObject([
      { adapter: 'tickets', version: 1, check: { state: 'ready', parity: true } },
      { adapter: 'tickets', version: 2 },
    ]);
    const held = await ask('tickets@1');
    expect(held).toMatchObject({ status: 409, body: { error: { code: 'version_not_ready' } } });
    expect(held.body.error?.message).toContain('it was accepted for this base, and is held back. The move');
    expect((await acme.expect<List<{ id: string }>>(200, 'GET', '/v1/models')).data).toHaveLength(1);
    expect((await start()).body.id).toBe(first.id);
    expect(await start({ unevaluated: 'promote' })).toMatchObject({
      status: 409,
      body: { error: { code: 'conflict', message: expect.stringContaining(first.id) as string } },
    });
  });

  it('promotes what answers well, leaves the rest, and says why of each', async () => {
    release('Paris');
    expect(await ended(first.id)).toMatchObject({
      state: 'finished',
      counts: { checking: 0, evaluating: 0, promoted: 2, left: 2, unchanged: 0 },
    });
    const [mails, one, two, words] = await report(first.id);
    expect(mails).toMatchObject({
      adapter: 'mails',
      version: 1,
      aliases: ['latest'],
      state: 'left',
      check: { state: 'ready', parity: true, error: null },
      evaluation: null,
      reason: expect.stringContaining('There are no prompts for it') as string,
    });
    expect(one).toMatchObject({
      adapter: 'tickets',
      version: 1,
      aliases: ['production'],
      state: 'promoted',
      reason: '1 of 2 prompts passed: score 0.5, at least 0.5',
      evaluation: {
        by: 'hook',
        hook: 'nightly',
        evaluation_set: { name: 'capitals', revision: 1 },
        prompts: 2,
        passed: 1,
        score: 0.5,
        min_score: 0.5,
        failures: [{ index: 1, expected: 'Rome', answer: 'Paris' }],
      },
    });
    expect(two).toMatchObject({ adapter: 'tickets', version: 2, aliases: ['latest'], state: 'promoted' });
    expect(words).toMatchObject({
      adapter: 'words',
      state: 'left',
      check: { state: 'rejected', error: { code: 'vocabulary_resized' } },
      reason: expect.stringContaining('The base rejected it: ') as string,
    });
    expect((await ask('tickets')).status).toBe(200);
    expect((await ask('mails')).status).toBe(409);
    const { bases } = await acme.expect<VersionResource>(200, 'GET', '/v1/adapters/mails/versions/1');
    expect(bases).toMatchObject([
      { state: 'ready', held: expect.stringContaining(`The move ${first.id} left it`) as string },
    ]);
    expect(await acme.expect(200, 'GET', '/v1/revalidations')).toMatchObject({
      ready: 2,
      held: 1,
      rejected: 1,
      unvalidated: 0,
    });
  });

  it('judges what is left by the set that is named, and what answers already stays', async () => {
    const failed = (await start({ evaluate: { set: 'capitals' } })).body;
    expect((await ended(failed.id)).counts).toMatchObject({ promoted: 0, left: 2, unchanged: 2 });
    expect((await report(failed.id, '?state=left'))[0]).toMatchObject({
      adapter: 'mails',
      reason: '1 of 2 prompts passed: score 0.5 is below 1',
      evaluation: { by: 'move', hook: null, score: 0.5, min_score: 1 },
    });
    expect((await ask('mails')).status).toBe(409);
    const order = { adapter: 'mails', evaluate: { set: 'capitals', min_score: 0.5 } };
    const passed = (await start(order)).body;
    expect((await ended(passed.id)).counts).toMatchObject({ promoted: 1, left: 0, unchanged: 0 });
    expect((await ask('mails')).status).toBe(200);
    // Once more: nothing is left to do.
    expect((await ended((await start(order)).body.id)).counts).toMatchObject({ promoted: 0, unchanged: 1 });
  });

  it('leaves what is not decided when it is cancelled', async () => {
    await serve({ ...NEXT_BASE, name: 'llama-third', digest: 'c3'.repeat(32) });
    answering = false;
    const { id } = (await start({ adapter: 'tickets' })).body;
    await expect.poll(() => waiting.length).toBe(4);
    const cancelled = await acme.expect<BaseMoveResource>(200, 'POST', `/v1/base-moves/${id}/cancel`);
    expect(cancelled).toMatchObject({ state: 'cancelled', counts: { left: 2, promoted: 0 } });
    release('Paris');
    expect((await acme.call('POST', `/v1/base-moves/${id}/cancel`)).status).toBe(409);
    const [version] = await report(id);
    expect(version).toMatchObject({ state: 'left', reason: expect.stringContaining('cancelled') as string });
    expect((await ask('tickets')).body.error?.message).toContain(`The move ${id} was cancelled`);
    await serve(NEXT_BASE);
  });

  it('writes who ordered it and what it decided, and tells of its end', async () => {
    const { data } = await platform.admin.expect<List<{ action: string; actor: { type: string } }>>(
      200,
      'GET',
      '/v1/admin/audit?limit=100',
    );
    const count = (action: string) => data.filter((entry) => entry.action === action).length;
    expect(['start', 'promote', 'leave', 'cancel'].map((verb) => count(`base_move.${verb}`))).toEqual([
      5, 3, 4, 1,
    ]);
    expect(data.find(({ action }) => action === 'base_move.start')?.actor.type).toBe('api_key');
    const events = await platform.query<{ payload: BaseMoveResource }>(
      "SELECT payload FROM outbox_events WHERE type = 'base_move.finished' ORDER BY id",
    );
    expect(events.map(({ payload }) => payload.state)).toEqual([
      'finished',
      'finished',
      'finished',
      'finished',
      'cancelled',
    ]);
    expect(events[0]?.payload).toMatchObject({ id: first.id, counts: { promoted: 2, left: 2 } });
  });

  it('is ordered and shown by the command line, also by an operator for a tenant', async () => {
    const env = { LORIKEET_URL: platform.url, LORIKEET_API_KEY: ADMIN_KEY };
    const run = (...words: string[]) => lorikeet(['moves', ...words, '--tenant', 'acme'], { env });
    const all = await run('start', '--set', 'capitals', '--min-score', '0.5', '--wait');
    expect(all).toMatchObject({
      code: 1,
      err: expect.stringContaining('1 of the versions do not answer on llama-next') as string,
      out: expect.stringMatching(/words@1 +latest +rejected +- +- +left +The base rejected it/) as string,
    });
    expect((await run('list')).out).toContain('llama-next');
    expect((await run('show', first.id)).out).toMatch(/tickets@1 +production +ready +passed +1\/2 +promoted/);
    expect(await run('start', '--min-score', '1')).toMatchObject({ code: 2 });
  });

  it('says what is wrong with an order, and is no other tenant’s to see', async () => {
    for (const [order, status, param] of [
      [{ evaluate: { set: 'nothing' } }, 400, 'evaluate.set'],
      [{ evaluate: { set: 'capitals', min_score: 2 } }, 400, 'evaluate.min_score'],
      [{ unevaluated: 'maybe' }, 400, 'unevaluated'],
      [{ adapter: 'nobody' }, 404, null],
      [{ base: 'x' }, 400, null],
    ] as const) {
      const answer = await start(order);
      expect(answer, JSON.stringify(order)).toMatchObject({ status });
      if (param !== null) expect(answer.body).toMatchObject({ error: { param } });
    }
    const globex = await platform.tenant('globex');
    for (const path of ['', '/versions'])
      expect((await globex.call('GET', `/v1/base-moves/${first.id}${path}`)).status).toBe(404);
    const nothing = await globex.expect<BaseMoveResource>(202, 'POST', '/v1/base-moves');
    expect(nothing).toMatchObject({ state: 'finished', counts: { promoted: 0, left: 0, unchanged: 0 } });
  });

  it('needs nothing on the base that the versions were made for', async () => {
    await serve(OLD_BASE);
    const { id } = (await start()).body;
    expect((await ended(id)).counts).toMatchObject({ promoted: 0, left: 0, unchanged: 4 });
  });
});
