import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DataSource } from 'typeorm';
import { UsageService, type UsageRecord } from '#accounts/usage.service.js';
import type { UsageList } from '#contracts/usage-api.js';
import { makeLogger } from '#runtime/logger.js';
import { makeDataSource } from '#stores/postgres/data-source.js';
import type { Client } from '../support/client.js';
import { Platform } from '../support/platform.js';

let platform: Platform;
let acme: Client;
let tenantId: string;
let database: DataSource;
beforeAll(async () => {
  platform = await Platform.start({ worker: false });
  acme = await platform.tenant('acme');
  tenantId = (await platform.admin.expect<{ id: string }>(200, 'GET', '/v1/admin/tenants/acme')).id;
  const logger = makeLogger('test', 'silent');
  database = makeDataSource({ url: platform.postgres.url, poolSize: 4, entities: [], logger });
  await database.initialize();
});
afterAll(async () => {
  await database?.destroy();
  await platform?.close();
});

const ADAPTER_ID = '0190a000-0000-7000-8000-000000000001';
const record = (changes: Partial<UsageRecord> = {}): UsageRecord => ({
  tenantId,
  keyId: 'key',
  adapterId: ADAPTER_ID,
  adapter: 'bot',
  version: 1,
  model: 'bot',
  requestId: 'r',
  promptTokens: 10,
  cachedTokens: 4,
  completionTokens: 3,
  error: false,
  ttft_ms: 5,
  total_ms: 50,
  ...changes,
});

const usage = (query = '') => acme.expect<UsageList>(200, 'GET', `/v1/usage${query}`);
const service = (source: DataSource = database) => new UsageService(source, makeLogger('test', 'silent'));

describe('usage', () => {
  it('is summed per adapter, version and day, and in all', async () => {
    const meter = service();
    for (let index = 0; index < 5; index += 1) meter.record(record());
    meter.record(record({ version: 2, error: true, ttft_ms: undefined }));
    meter.record(record({ adapterId: undefined, adapter: undefined, version: undefined }));
    await meter.flush();

    const sums = { prompt_tokens: 70, cached_tokens: 28, completion_tokens: 21 };
    expect((await usage()).data).toEqual([{ requests: 7, errors: 1, ...sums }]);
    expect((await usage('?group_by=adapter')).data).toMatchObject([
      { adapter: 'bot', requests: 6, errors: 1 },
      { adapter: null, requests: 1, errors: 0 },
    ]);
    const day = new Date().toISOString().slice(0, 10);
    expect((await usage('?group_by=adapter,version,day')).data).toMatchObject([
      { day, adapter: 'bot', version: 1, requests: 5 },
      { day, adapter: 'bot', version: 2, requests: 1 },
      { day, adapter: null, version: null, requests: 1 },
    ]);
  });

  it('adds up over processes and flushes of the same minute', async () => {
    const [before] = (await usage()).data;
    const meters = [service(), service()];
    for (let round = 0; round < 3; round += 1) {
      for (const meter of meters) meter.record(record());
      await Promise.all(meters.map((meter) => meter.flush()));
    }
    const [after] = (await usage()).data;
    expect((after?.requests ?? 0) - (before?.requests ?? 0)).toBe(6);
  });

  it('counts a batch once whose answer was lost after its commit', async () => {
    const [before] = (await usage()).data;
    let lost = 0;
    const flaky = new Proxy(database, {
      get(target, name) {
        if (name !== 'transaction') return Reflect.get(target, name) as unknown;
        return async (work: Parameters<DataSource['transaction']>[0]) => {
          await target.transaction(work as never);
          if (lost++ === 0) throw new Error('connection lost');
        };
      },
    });
    const meter = service(flaky);
    meter.record(record());
    await expect(meter.flush()).rejects.toThrow('connection lost');
    meter.record(record());
    await meter.flush();
    const [after] = (await usage()).data;
    expect((after?.requests ?? 0) - (before?.requests ?? 0)).toBe(2);
  });

  it('is asked for by range', async () => {
    const tomorrow = new Date(Date.now() + 86_400_000).toISOString().slice(0, 10);
    expect((await usage(`?from=${tomorrow}&to=2999-01-01`)).data).toEqual([
      { requests: 0, prompt_tokens: 0, cached_tokens: 0, completion_tokens: 0, errors: 0 },
    ]);
    expect((await usage(`?from=${tomorrow}&to=2999-01-01&group_by=adapter`)).data).toEqual([]);
    for (const query of [
      '?from=yesterday',
      '?group_by=color',
      '?from=2026-02-01&to=2026-01-01',
      '?form=2026-01-01',
    ]) {
      expect([query, (await acme.call('GET', `/v1/usage${query}`)).status]).toEqual([query, 400]);
    }
  });
});
