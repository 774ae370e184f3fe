import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CONFIG, formOf, goldenFiles } from '../support/adapter-form.js';
import type { Client } from '../support/client.js';
import { goldenFolder } from '../support/golden-base.js';
import { Platform } from '../support/platform.js';

const FOLDER = join(goldenFolder('llama-gqa'), 'adapters/qv-r8');

/** The value of one series, by its name and some of its labels. */
function valueOf(text: string, name: string, labels: Record<string, string> = {}): number | undefined {
  const line = text
    .split('\n')
    .find(
      (each) =>
        new RegExp(`^${name}[{ ]`).test(each) &&
        Object.entries(labels).every(([k, v]) => each.includes(`${k}="${v}"`)),
    );
  return line === undefined ? undefined : Number(line.slice(line.lastIndexOf(' ') + 1));
}

describe.each(['redis', 'postgres'] as const)('a worker with its queue in %s', (queue) => {
  let platform: Platform;
  let acme: Client;
  let worker: string;
  beforeAll(async () => {
    platform = await Platform.start({ queue, worker: false });
    acme = await platform.tenant('acme');
  });
  afterAll(() => platform?.close());
  const metrics = async () => (await fetch(`${worker}/metrics`)).text();

  async function jobsByState() {
    const text = await metrics();
    const of = (state: string) => valueOf(text, 'lorikeet_worker_jobs', { kind: 'ingest-adapter', state });
    return {
      waiting: of('waiting'),
      active: of('active'),
      failed: of('failed'),
      completed: of('completed'),
    };
  }

  it('tells what waits, since when, what ran and what failed', async () => {
    await acme.uploadFolder('bot', FOLDER, 0);
    await acme.uploadFolder('bot', FOLDER, 0);
    await acme.call(
      'POST',
      '/v1/adapters/bot/versions',
      formOf(Object.entries({ ...goldenFiles('qv-r8'), [CONFIG]: '{}' })),
    );
    worker = await platform.startWorker();
    const ended = async () =>
      valueOf(await metrics(), 'lorikeet_worker_job_seconds_count', {
        kind: 'ingest-adapter',
        outcome: 'done',
      });
    await expect.poll(ended, { timeout: 60_000 }).toBe(3);
    // The queue hears of a job's end after the worker has counted it.
    await expect.poll(jobsByState).toEqual({ waiting: 0, active: 0, failed: 0, completed: 3 });
    const text = await metrics();
    expect(valueOf(text, 'lorikeet_worker_running_jobs', { kind: 'ingest-adapter' })).toBe(0);
    expect(valueOf(text, 'lorikeet_worker_oldest_job_seconds', { kind: 'import-adapter' })).toBe(0);
    for (const work of ['webhook_delivery', 'hook_delivery', 'outbox_event', 'version', 'import'])
      expect(valueOf(text, 'lorikeet_worker_waiting', { work })).toBeDefined();
    for (const task of ['clean up', 'roll up usage', 'forget old rows'])
      await expect
        .poll(async () =>
          valueOf(await metrics(), 'lorikeet_worker_task_success_timestamp_seconds', { task }),
        )
        .toBeGreaterThan(1e9);
  });

  it('names the adapters that engines have loaded', async () => {
    const { data } = await acme.expect<{ data: { digest: string; version: number }[] }>(
      200,
      'GET',
      '/v1/adapters/bot/versions?state=ready',
    );
    const digest = data[0]?.digest as string;
    const adapters = { ...platform.engine.status.adapters, resident: [{ digest, bytes: 1, requests: 0 }] };
    platform.engine.status = { ...platform.engine.status, adapters: adapters as never };
    const find = async () =>
      valueOf(await metrics(), 'lorikeet_adapter_info', {
        adapter: digest.slice(0, 12),
        tenant: 'acme',
        name: 'bot',
      });
    await expect.poll(find).toBe(1);
  });

  it('is ready while it can reach database and queue, and not when one is away', async () => {
    expect(await (await fetch(`${worker}/health`)).json()).toEqual({
      status: 'ready',
      checks: { database: 'up', queue: 'up' },
    });
    expect((await fetch(`${worker}/health/live`)).status).toBe(200);
    await platform.postgres.child.stop();
    try {
      const answer = await fetch(`${worker}/health/ready`);
      expect(answer.status).toBe(503);
      expect(await answer.json()).toMatchObject({ status: 'not_ready', checks: { database: 'down' } });
      expect((await fetch(`${worker}/health/live`)).status).toBe(200);
      expect(valueOf(await metrics(), 'lorikeet_worker_database_up')).toBe(0);
    } finally {
      await platform.restartPostgres();
    }
    await expect.poll(async () => valueOf(await metrics(), 'lorikeet_worker_database_up')).toBe(1);
  });
});
