import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Client, VersionBody } from '../support/client.js';
import { FAKE_PARITY } from '../support/fake-engine.js';
import { goldenFolder } from '../support/golden-base.js';
import { Platform } from '../support/platform.js';

const FOLDER = join(goldenFolder('llama-gqa'), 'adapters/qv-r8');

describe.each(['redis', 'postgres'] as const)('tenants whose uploads wait in %s', (queue) => {
  let platform: Platform;
  let flood: Client;
  let quick: Client;
  beforeAll(async () => {
    platform = await Platform.start({ queue, worker: false });
    [flood, quick] = [await platform.tenant('flood'), await platform.tenant('quick')];
  }, 120_000);
  afterAll(() => platform?.close());

  const upload = async (tenant: Client): Promise<string> =>
    (await tenant.uploadFolder('bot', FOLDER, 0)).body.id;
  /** Whose versions became ready, in that order. */
  async function order(): Promise<string[]> {
    const rows = await platform.query<{ name: string }>(
      `SELECT tenants.name FROM adapter_versions JOIN tenants ON tenants.id = tenant_id
       WHERE ready_at IS NOT NULL ORDER BY ready_at`,
    );
    return rows.map(({ name }) => name);
  }
  const isReady = async (tenant: Client, version: number): Promise<boolean> =>
    (await tenant.call<VersionBody>('GET', `/v1/adapters/bot/versions/${version}`)).body.state === 'ready';

  it('take turns, also with one who comes again and again', async () => {
    for (let i = 0; i < 4; i++) await upload(flood);
    await upload(quick);
    let more = 8;
    platform.engine.parity = async () => {
      if (more-- > 0) await upload(quick); // so one of it always waits
      return FAKE_PARITY;
    };
    await platform.startWorker({ WORKER_CONCURRENCY: '1' });
    await expect.poll(() => isReady(quick, 9), { timeout: 100_000 }).toBe(true);
    const turns = (await order()).join(' ');
    expect(turns).toMatch(/^flood quick (flood quick |quick flood ){3}(quick ?){5}$/);
  });

  it('never hold all places of a worker, however long theirs take', async () => {
    await platform.stopWorkers();
    let release = (): void => undefined;
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    let begun = 0;
    platform.engine.parity = async () => {
      begun += 1;
      if (begun <= 2) await held;
      return FAKE_PARITY;
    };
    for (let i = 0; i < 4; i++) await upload(flood);
    await platform.startWorker({ WORKER_CONCURRENCY: '2' });
    await expect.poll(() => begun).toBe(2);
    const sentBack = async () =>
      (await platform.admin.call<{ data: unknown[] }>('GET', '/v1/admin/jobs/ingest-adapter?state=delayed'))
        .body.data.length;
    await expect.poll(sentBack).toBe(2);
    await upload(quick);
    await expect.poll(() => isReady(quick, 10)).toBe(true);
    expect(await isReady(flood, 5)).toBe(false);
    release();
    await expect.poll(() => isReady(flood, 8)).toBe(true); // those that were sent back came again at once
  });
});
