import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { AuditEntryResource } from '#contracts/audit-api.js';
import type { JobList, JobResource, JobWithLogs } from '#contracts/jobs-api.js';
import { takeBlobAway } from '../support/blob-files.js';
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
      data: [{ id: 'ingest-adapter', counts: { waiting: 2, active: 0 } }, { id: 'import-adapter' }],
    });
  });

  it('runs a job again that had failed, and its version becomes ready', async () => {
    const { body } = await acme.uploadFolder('bot', FOLDER, 0);
    const putBack = await takeBlobAway(join(platform.folder, 'blobs'), body.weights_sha256);
    await platform.startWorker();
    await expect.poll(async () => (await job(body.id)).state).toBe('failed');
    const failed = await job(body.id);
    expect(failed.failure).toMatch(/there is no blob/);
    expect(failed.logs.filter((line) => line.includes('failed:'))).toHaveLength(5);
    expect(await version(body.version)).toMatchObject({ state: 'rejected' });
    expect((await list('?state=failed,delayed')).data.map(({ id }) => id)).toContain(body.id);

    await putBack();
    await platform.admin.expect(200, 'POST', `${QUEUE}/${body.id}/retry`);
    await expect.poll(async () => (await version(body.version)).state).toBe('ready');
    const entries = await platform.admin.expect<{ data: AuditEntryResource[] }>(
      200,
      'GET',
      `/v1/admin/audit?subject=ingest-adapter:${body.id}`,
    );
    expect(entries.data).toMatchObject([{ action: 'job.retry', before: { state: 'failed' }, after: null }]);
  });

  it('reads what a job did once it has ended, and cannot cancel it any more', async () => {
    const { body } = await acme.uploadFolder('bot', FOLDER);
    await expect.poll(async () => (await job(body.id)).state).toBe('completed');
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
