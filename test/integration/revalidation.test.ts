import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { adaptersEntities } from '#adapters/adapters.module.js';
import { RevalidationStates } from '#adapters/revalidation/revalidation-states.service.js';
import type { VersionResource } from '#contracts/adapters-api.js';
import type { AuditEntryResource } from '#contracts/audit-api.js';
import type { BaseModel } from '#contracts/base-model.js';
import type { JobList } from '#contracts/jobs-api.js';
import type { Revalidation } from '#contracts/revalidation-api.js';
import { makeLogger } from '#runtime/logger.js';
import { makeDataSource } from '#stores/postgres/data-source.js';
import { storesEntities } from '#stores/stores.module.js';
import { CONFIG, formOf, goldenFiles } from '../support/adapter-form.js';
import { lorikeet } from '../support/cli.js';
import type { Client } from '../support/client.js';
import { answerWith } from '../support/fake-answers.js';
import { goldenFolder } from '../support/golden-base.js';
import { NEXT_BASE, OLD_BASE } from '../support/next-base.js';
import { ADMIN_KEY, Platform } from '../support/platform.js';
import { until } from '../support/webhooks.js';

const folder = (name: string): string => join(goldenFolder('llama-gqa'), 'adapters', name);

const OLD = OLD_BASE;
const NEW = NEXT_BASE;

async function uploadReady(client: Client, adapter: string, files: string): Promise<void> {
  const { body } = await client.uploadFolder(adapter, folder(files));
  if (body.state !== 'ready') throw new Error(JSON.stringify(body));
}

describe('stored versions, after the base was changed', () => {
  let platform: Platform;
  let acme: Client;
  let globex: Client;
  beforeAll(async () => {
    platform = await Platform.start();
    platform.engine.script = answerWith([5, 6]);
    acme = await platform.tenant('acme');
    globex = await platform.tenant('globex');
    for (const [client, name, files] of [
      [acme, 'tickets', 'qv-r8'],
      [acme, 'tickets', 'rslora-r4'],
      [acme, 'words', 'save-lm-head'],
      [globex, 'mails', 'qv-r8'],
    ] as const)
      await uploadReady(client, name, files);
    await acme.expect(200, 'PUT', '/v1/adapters/tickets/aliases/stable', { routes: [{ version: 1 }] });
    await acme.expect(200, 'PUT', '/v1/adapters/tickets/shares/globex', {});
  });
  afterAll(() => platform?.close());

  const models = async (client: Client): Promise<string[]> =>
    (await client.expect<{ data: { id: string }[] }>(200, 'GET', '/v1/models')).data.map(({ id }) => id);
  const version = (name: string, number: number) =>
    acme.expect<VersionResource>(200, 'GET', `/v1/adapters/${name}/versions/${number}`);
  const status = (query = '') =>
    platform.admin.expect<Revalidation>(200, 'GET', `/v1/admin/revalidations${query}`);
  const ask = (client: Client, model: string) =>
    client.call<{ error?: { message: string }; choices?: unknown[] }>('POST', '/v1/completions', {
      model,
      prompt: 'x',
    });
  const serve = async (base: BaseModel): Promise<void> => {
    platform.engine.status = { ...platform.engine.status, base };
    await expect.poll(async () => (await models(acme))[0]).toBe(base.name);
  };
  const settled = async (): Promise<void> => {
    await expect.poll(async () => (await status()).queued).toBe(0);
  };

  it('are not listed, are counted, and say to their callers why they do not answer', async () => {
    await serve(NEW);
    expect(await models(acme)).toEqual(['llama-next']);
    expect(await models(globex)).toEqual(['llama-next']);
    expect(await status()).toMatchObject({
      base_model: 'llama-next',
      base_digest: NEW.digest,
      tenant: null,
      ready: 0,
      unvalidated: 4,
      queued: 0,
      rejected: 0,
    });
    expect(await status('?tenant=globex')).toMatchObject({ tenant: 'globex', unvalidated: 1 });
    const own = await ask(acme, 'tickets:stable');
    expect(own).toMatchObject({
      status: 409,
      body: { error: { code: 'version_not_ready', param: 'model' } },
    });
    expect(own.body.error?.message).toBe(
      'tickets:stable leads by the alias `stable` to tickets@1, which does not answer on the base model "llama-next" ' +
        'that is served now: it was validated for another one. That was "llama-gqa". POST /v1/revalidations ' +
        '(`lorikeet revalidate`) validates it against this one.',
    );
    const others = await ask(globex, 'acme/tickets@1');
    expect(others.body.error?.message).toBe(
      'tickets@1 does not answer on the base model "llama-next" that is served now: it was validated for another one.',
    );
  });

  it('are validated one adapter at a time by their tenant, and answer, with what they were kept', async () => {
    const before = await version('tickets', 1);
    const asked = await acme.expect<Revalidation>(202, 'POST', '/v1/revalidations', { adapter: 'tickets' });
    expect(asked).toMatchObject({ tenant: 'acme', adapter: 'tickets', base_model: 'llama-next' });
    expect(asked.queued + asked.ready).toBe(2);
    await settled();
    const after = await version('tickets', 1);
    expect(after).toMatchObject({ ...before, bases: expect.any(Array) as unknown[] });
    expect(after.bases).toMatchObject([
      {
        base_model: 'llama-next',
        base_digest: NEW.digest,
        state: 'ready',
        digest: expect.stringMatching(/^[0-9a-f]{64}$/) as string,
        report: { verdict: 'accepted' },
        parity: { passed: true },
        failure: null,
      },
    ]);
    const [{ digest = null } = {}] = after.bases;
    expect(digest).not.toBe(before.digest);
    await expect.poll(async () => (await ask(acme, 'tickets:stable')).status).toBe(200);
    expect(platform.engine.requests.at(-1)).toMatchObject({ adapter: digest });
    expect(await models(acme)).toEqual(['llama-next', 'tickets']);
    expect(await models(globex)).toEqual(['llama-next', 'acme/tickets']);
    expect(await status()).toMatchObject({ ready: 2, unvalidated: 2 });
    const found = await acme.expect<{ data: VersionResource[] }>(200, 'GET', `/v1/versions?digest=${digest}`);
    expect(found.data).toMatchObject([{ adapter: 'tickets', version: 1, bases: [{ report: null }] }]);
  });

  it('are validated all at once by the operator; what the base cannot serve says why', async () => {
    await platform.admin.expect(202, 'POST', '/v1/admin/revalidations');
    await settled();
    const words = await version('words', 1);
    expect(words).toMatchObject({ state: 'ready', report: { verdict: 'accepted' } });
    expect(words.bases).toMatchObject([{ state: 'rejected', digest: null, report: { verdict: 'rejected' } }]);
    const [error] = words.bases[0]?.report?.errors ?? [];
    expect(error?.code).toBe('vocabulary_resized');
    const page = '/v1/adapters/words/versions/1/report?section=errors';
    expect(await acme.expect(200, 'GET', page)).toMatchObject({ total: 0 });
    const onNext = await acme.expect<{ data: unknown[] }>(
      200,
      'GET',
      `${page}&base=${words.bases[0]?.base_digest}`,
    );
    expect(onNext.data[0]).toEqual(error);
    await acme.expect(404, 'GET', `${page}&base=other`);
    expect(await status()).toMatchObject({
      ready: 3,
      unvalidated: 0,
      rejected: 1,
      rejections: [{ tenant: 'acme', adapter: 'words', version: 1, error: { code: 'vocabulary_resized' } }],
    });
    const refusal = async () => {
      const { status, body } = await ask(acme, 'words');
      return `${status} ${body.error?.message}`;
    };
    await expect
      .poll(refusal)
      .toContain(
        `409 words leads by the alias \`latest\` to words@1, which does not answer on the base model "llama-next" that is ` +
          `served now: it was rejected for this base. ${error?.message}`,
      );
    expect(await models(acme)).toEqual(['llama-next', 'tickets']);
    expect(await models(globex)).toEqual(['llama-next', 'mails', 'acme/tickets']);
    // A second call has nothing to do, unless it asks for the rejected ones too.
    expect(await platform.admin.expect(202, 'POST', '/v1/admin/revalidations')).toMatchObject({ queued: 0 });
    await platform.admin.expect(202, 'POST', '/v1/admin/revalidations', { rejected: true });
    await settled();
    expect((await version('words', 1)).bases).toMatchObject([{ state: 'rejected' }]);
  });

  it('are told of and validated by the command line', async () => {
    const env = { LORIKEET_URL: platform.url, LORIKEET_API_KEY: ADMIN_KEY };
    const told = await lorikeet(['revalidate', '--status', '--tenant', 'acme'], { env });
    expect(told).toMatchObject({
      code: 0,
      out: expect.stringMatching(
        /^llama-next: 2 answer, 0 are being validated, 1 were rejected\n {2}acme\/words@1: /,
      ) as string,
    });
    const all = await lorikeet(['revalidate', '--all', '--wait'], { env });
    expect(all).toMatchObject({
      code: 1,
      err: expect.stringContaining('1 of the versions cannot answer on llama-next') as string,
    });
    expect(await lorikeet(['revalidate', 'words', '--all'], { env })).toMatchObject({ code: 2 });
  });

  it('leave an audit entry per call that queued something, an event per verdict, and jobs to look at', async () => {
    const { data } = await platform.admin.expect<{ data: AuditEntryResource[] }>(
      200,
      'GET',
      '/v1/admin/audit?action=revalidation.start',
    );
    expect(data).toMatchObject([
      { after: { base_model: 'llama-next', queued: 1 }, subject: { type: 'base_model', id: NEW.digest } },
      { after: { queued: 2 } },
      { actor: { type: 'api_key' }, after: { queued: 2, tenant: 'acme', adapter: 'tickets' } },
    ]);
    const events = await platform.query<{ payload: VersionResource }>(
      "SELECT payload FROM outbox_events WHERE type = 'adapter.version.revalidated' ORDER BY id",
    );
    expect(events.map(({ payload }) => payload.bases[0]?.state).sort()).toEqual(
      ['ready', 'ready', 'ready', 'rejected', 'rejected'].sort(),
    );
    const completed = async () => {
      const path = '/v1/admin/jobs/ingest-adapter?state=completed&limit=100';
      const { data: jobs } = await platform.admin.expect<JobList>(200, 'GET', path);
      return jobs.filter(({ id }) => id.endsWith(`.${NEW.digest.slice(0, 16)}`));
    };
    await expect.poll(completed).toHaveLength(4);
  });

  it('answer again at once on the old base, and a version of the new one waits there', async () => {
    expect((await acme.uploadFolder('fresh', folder('qv-r8'))).body.state).toBe('ready');
    await serve(OLD);
    expect(await models(acme)).toEqual(['llama-gqa', 'tickets', 'words']);
    expect(await status()).toMatchObject({ base_model: 'llama-gqa', ready: 4, unvalidated: 1, rejected: 0 });
    expect((await ask(acme, 'words')).status).toBe(200);
    expect(platform.engine.requests.at(-1)).toMatchObject({ adapter: (await version('words', 1)).digest });
    await serve(NEW);
    expect(await models(acme)).toEqual(['llama-next', 'fresh', 'tickets']);
  });

  it('take what serves them on every base with them when they are deleted', async () => {
    const { digest, bases } = await version('tickets', 2);
    await acme.expect(200, 'DELETE', '/v1/adapters/tickets/versions/2');
    expect(platform.engine.dropped.slice(-2).sort()).toEqual([digest, bases[0]?.digest].sort());
    const released = await platform.query<{ digest: string }>('SELECT DISTINCT digest FROM released_files');
    expect(released.map((row) => row.digest).sort()).toEqual([digest, bases[0]?.digest].sort());
  });

  it('are named by their tenant, adapter and field when the call is wrong', async () => {
    for (const [body, status, param] of [
      [{ adapter: 'mails' }, 400, 'tenant'],
      [{ tenant: 'nobody' }, 404, null],
      [{ tenant: 'globex', adapter: 'tickets' }, 404, null],
      [{ base: 'other' }, 400, null],
    ] as const) {
      const answer = await platform.admin.call('POST', '/v1/admin/revalidations', body);
      expect(answer, JSON.stringify(body)).toMatchObject({ status });
      if (param !== null) expect(answer.body).toMatchObject({ error: { param } });
    }
    expect(await globex.call('POST', '/v1/revalidations', { adapter: 'tickets' })).toMatchObject({
      status: 404,
    });
    expect(await acme.call('POST', '/v1/admin/revalidations')).toMatchObject({ status: 403 });
  });
});

/** In the order in which the sweep would queue them. */
async function turnsOf(platform: Platform): Promise<{ tenant: string; turn: number }[]> {
  const entities = [...storesEntities, ...adaptersEntities];
  const logger = makeLogger('test', 'silent');
  const database = makeDataSource({ url: platform.postgres.url, poolSize: 1, entities, logger });
  await database.initialize();
  try {
    const states = new RevalidationStates(database, undefined as never);
    const turns = await states.unsettled(NEW.digest, 10);
    const tenants = await platform.query<{ id: string; name: string }>(
      'SELECT version.id, tenant.name FROM adapter_versions version JOIN tenants tenant ON tenant.id = version.tenant_id',
    );
    const nameOf = new Map(tenants.map(({ id, name }) => [id, name]));
    return turns.map(({ versionId, turn }) => ({ tenant: nameOf.get(versionId) ?? '', turn }));
  } finally {
    await database.destroy();
  }
}

describe('a revalidation', () => {
  it('is found by the sweep after a crash, and the tenants take turns', async () => {
    const platform = await Platform.start();
    try {
      const [acme, globex] = [await platform.tenant('acme'), await platform.tenant('globex')];
      for (const name of ['a', 'b', 'c']) await acme.uploadFolder(name, folder('qv-r8'));
      await globex.uploadFolder('mails', folder('qv-r8'));
      await platform.stopWorkers(); // whose sweep could come at any moment
      platform.engine.status = { ...platform.engine.status, base: NEW };
      const status = () => platform.admin.expect<Revalidation>(200, 'GET', '/v1/admin/revalidations');
      await expect.poll(async () => (await status()).base_model).toBe('llama-next');
      // As a crash between the rows and the queue leaves it: the worker's sweep finds them.
      await platform.query(
        `INSERT INTO version_bases (version_id, base_digest, tenant_id, base_model)
         SELECT id, $1, tenant_id, 'llama-next' FROM adapter_versions`,
        [NEW.digest],
      );
      expect(await status()).toMatchObject({ queued: 4 });
      expect((await turnsOf(platform)).map(({ tenant, turn }) => [tenant, turn])).toEqual([
        ['acme', 1],
        ['globex', 1],
        ['acme', 2],
        ['acme', 3],
      ]);
      await platform.startWorker();
      await expect.poll(async () => (await status()).ready).toBe(4);
    } finally {
      await platform.close();
    }
  });
});

describe('a version that was rejected when it came', () => {
  let platform: Platform;
  let acme: Client;
  /** Its attention is narrower: adapters of the other base do not fit. */
  const NARROW: BaseModel = {
    ...OLD,
    name: 'llama-narrow',
    digest: 'd4'.repeat(32),
    modules: OLD.modules.map((module) =>
      module.name.endsWith('q_proj') ? { ...module, out: module.out / 2 } : module,
    ),
  };
  beforeAll(async () => {
    platform = await Platform.start({ worker: false });
    platform.engine.status = { ...platform.engine.status, base: NARROW };
    platform.engine.script = answerWith([5]);
    acme = await platform.tenant('acme');
    await served('llama-narrow');
    await platform.startWorker();
    const bot = formOf(Object.entries(goldenFiles('qv-r8')));
    await acme.expect(422, 'POST', '/v1/adapters/bot/versions?create=true&wait=60', bot);
    const broken = formOf(
      Object.entries({ ...goldenFiles('qv-r8'), [CONFIG]: Buffer.from('{"peft_type": "IA3"}') }),
    );
    await acme.expect(422, 'POST', '/v1/adapters/broken/versions?create=true&wait=60', broken);
    platform.engine.status = { ...platform.engine.status, base: OLD };
    await served('llama-gqa');
  }, 120_000);
  afterAll(() => platform?.close());

  const served = (name: string) =>
    until(
      () => acme.expect<{ data: { id: string }[] }>(200, 'GET', '/v1/models'),
      ({ data }) => data[0]?.id === name,
    );
  const bot = () => acme.expect<VersionResource>(200, 'GET', '/v1/adapters/bot/versions/1');
  const ask = () => acme.call('POST', '/v1/completions', { model: 'bot', prompt: 'x' });

  it('gets its chance on another base when that is asked, if only the base was against it', async () => {
    expect(await acme.expect(202, 'POST', '/v1/revalidations')).toMatchObject({ queued: 0, unvalidated: 0 });
    expect((await bot()).state).toBe('rejected');
    await acme.expect(202, 'POST', '/v1/revalidations', { rejected: true });
    await expect.poll(async () => (await bot()).state).toBe('ready');
    expect(await bot()).toMatchObject({
      base_model: 'llama-gqa',
      base_digest: OLD.digest,
      report: { verdict: 'accepted' },
      parity: { passed: true },
      rank: 8,
      bases: [],
    });
    await expect.poll(async () => (await ask()).status).toBe(200);
    expect(await acme.expect(200, 'GET', '/v1/revalidations')).toMatchObject({ ready: 1, rejected: 0 });
    const broken = await acme.expect<VersionResource>(200, 'GET', '/v1/adapters/broken/versions/1');
    expect(broken).toMatchObject({ state: 'rejected', bases: [] });
    const told = await platform.query<{ type: string }>(
      "SELECT type FROM outbox_events WHERE type LIKE 'adapter.version.%' ORDER BY id",
    );
    expect(told.map(({ type }) => type)).toEqual([
      'adapter.version.rejected',
      'adapter.version.rejected',
      'adapter.version.ready',
    ]);
  });

  it('keeps its first report where the other base is against it too, which has its own', async () => {
    const form = formOf(Object.entries(goldenFiles('save-lm-head')));
    await platform.stopWorkers(); // one that knows the base of before would judge by it
    platform.engine.status = { ...platform.engine.status, base: NEW };
    await served('llama-next');
    await platform.startWorker();
    await acme.expect(422, 'POST', '/v1/adapters/words/versions?create=true&wait=60', form);
    await acme.expect(202, 'POST', '/v1/revalidations', { adapter: 'words', rejected: true });
    const words = () => acme.expect<VersionResource>(200, 'GET', '/v1/adapters/words/versions/1');
    await expect.poll(async () => (await words()).bases[0]?.state).toBe('rejected');
    expect(await words()).toMatchObject({
      state: 'rejected',
      report: { errors: [{ code: 'vocabulary_resized' }] },
      bases: [{ base_digest: NEW.digest, report: { errors: [{ code: 'vocabulary_resized' }] } }],
    });
    expect(await acme.expect(200, 'GET', '/v1/revalidations?adapter=words')).toMatchObject({
      ready: 0,
      rejected: 1,
    });
  });
});
