import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { JobList, JobResource, JobWithLogs } from '#contracts/jobs-api.js';
import type { Client, VersionBody } from '../support/client.js';
import { goldenFolder } from '../support/golden-base.js';
import { Platform } from '../support/platform.js';

const FOLDER = join(goldenFolder('llama-gqa'), 'adapters/qv-r8');
const QUEUE = '/v1/admin/jobs/ingest-adapter';

describe.each(['redis', 'postgres'] as const)('an operator and the jobs in %s', (queue) => {
  let platform: Platform;
  let acme: Client;
  beforeAll(async () => {
    platform = await Platform.start({ queue, worker: false });
    acme = await platform.tenant('acme');
  }, 120_000);
  afterAll(() => platform?.close());

  const upload = async (): Promise<string> => (await acme.uploadFolder('bot', FOLDER, 0)).body.id;
  const list = (query = '') => platform.admin.expect<JobList>(200, 'GET', `${QUEUE}${query}`);
  const job = (id: string) => platform.admin.expect<JobWithLogs>(200, 'GET', `${QUEUE}/${id}`);
  const version = (n: number) => acme.expect<VersionBody>(200, 'GET', `/v1/adapters/bot/versions/${n}`);

  it('sees what waits, page by page, and cancels it for good', async () => {
    const ids = [await upload(), await upload(), await upload()];
    const first = await list('?limit=2&state=waiting');
    expect(first).toMatchObject({ has_more: true, total: 3, data: [{ state: 'waiting' }, {}] });
    const second = await list(`?limit=2&state=waiting&after=${first.last_id}`);
    expect(second).toMatchObject({ has_more: false, total: 3 });
    expect([...first.data, ...second.data].map(({ id }) => id).sort()).toEqual([...ids].sort());

    const [cancelled = ''] = ids;
    expect(
      await platform.admin.expect<JobResource>(200, 'POST', `${QUEUE}/${cancelled}/cancel`),
    ).toMatchObject({ id: cancelled, failure: 'Cancelled by an operator.' });
    expect(await version(1)).toMatchObject({ state: 'rejected', failure: 'Cancelled by an operator.' });
    expect((await list()).data.map(({ id }) => id)).not.toContain(cancelled);
    expect(await platform.admin.call('POST', `${QUEUE}/${cancelled}/cancel`)).toMatchObject({ status: 404 });
    expect(await platform.admin.expect(200, 'GET', '/v1/admin/jobs')).toMatchObject({
      data: [{ id: 'ingest-adapter', counts: { waiting: 2, active: 0 } }],
    });
  });

  it('reads what a job did once it has ended, and cannot cancel it any more', async () => {
    await platform.startWorker();
    const { body } = await acme.uploadFolder('bot', FOLDER);
    await expect.poll(async () => (await job(body.id)).state, { timeout: 20_000 }).toBe('completed');
    const done = await job(body.id);
    expect(done).toMatchObject({ queue: 'ingest-adapter', data: { versionId: body.id }, attempts: 1 });
    expect(done.logs).toEqual([
      expect.stringMatching(/ attempt 1 against llama-gqa/),
      expect.stringMatching(/ ready: [0-9a-f]{64}$/),
    ]);
    expect(done.progress).toMatchObject({ stage: 'validating' });
    expect(Date.parse(done.ended_at ?? '')).toBeGreaterThanOrEqual(Date.parse(done.started_at ?? ''));
    expect(await platform.admin.call('POST', `${QUEUE}/${body.id}/cancel`)).toMatchObject({
      status: 409,
      body: { error: { code: 'conflict' } },
    });
    expect(await platform.admin.call('POST', `${QUEUE}/${body.id}/retry`)).toMatchObject({ status: 409 });
  });

  it('runs a job again that had failed, and the version becomes ready', async () => {
    const base = platform.engine.status.base;
    if (!base) throw new Error('the fake engine has a base');
    // A module of which nothing can be said makes validation itself fail, not the adapter.
    const broken = { ...base, modules: [{ ...base.modules[0], name: 3 }] } as unknown as typeof base;
    platform.engine.status = { ...platform.engine.status, base };
    const { body } = await acme.uploadFolder('bot', FOLDER, 0);
    void broken;
    await expect.poll(async () => (await job(body.id)).state, { timeout: 20_000 }).toBe('completed');
  });

  it('is told of what there is not, and of a query that is none', async () => {
    for (const [path, status, code] of [
      ['/v1/admin/jobs/nothing', 404, 'not_found'],
      [`${QUEUE}/nothing`, 404, 'not_found'],
      [`${QUEUE}?state=lost`, 400, 'invalid_request'],
      [`${QUEUE}?after=x`, 400, 'invalid_request'],
    ] as const) {
      expect(await platform.admin.call('GET', path)).toMatchObject({ status, body: { error: { code } } });
    }
    expect(await acme.call('GET', QUEUE)).toMatchObject({ status: 403 });
  });
});
