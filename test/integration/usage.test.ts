import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { DataSource } from 'typeorm';
import { UsageService, type UsageRecord } from '#accounts/usage.service.js';
import { UsageRollup } from '#accounts/usage-rollup.service.js';
import type { UsageList } from '#contracts/usage-api.js';
import { makeLogger } from '#runtime/logger.js';
import { makeDataSource } from '#stores/postgres/data-source.js';
import type { Client } from '../support/client.js';
import { PASS_MIDNIGHT_MS, passMidnight } from '../support/midnight.js';
import { Platform } from '../support/platform.js';

let platform: Platform;
let acme: Client;
let tenantId: string;
let database: DataSource;
beforeAll(passMidnight, PASS_MIDNIGHT_MS);
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
  errorCode: undefined,
  queue_ms: 1,
  ttft_ms: 5,
  total_ms: 50,
  tpots_ms: [20],
  ...changes,
});

const usage = (query = '') => acme.expect<UsageList>(200, 'GET', `/v1/usage${query}`);
const service = (source: DataSource = database) =>
  new UsageService(source, makeLogger('test', 'silent'), { goodputTtft_ms: 1000, goodputTpot_ms: 150 });

describe('usage', () => {
  it('of several adapters at once stands under all their names, and each counts as served', async () => {
    const members = [7, 8].map((n) => ({ adapterId: `0190a000-0000-7000-8000-00000000000${n}`, version: n }));
    const together = { adapterId: undefined, adapter: 'calm+kind', version: undefined };
    const meter = service();
    meter.record(record({ ...together, members }));
    meter.record(record({ ...together, members: members.toReversed() }));
    await meter.flush();
    expect((await usage('?group_by=adapter,version&adapter=calm%2Bkind')).data).toMatchObject([
      { adapter: 'calm+kind', version: null, requests: 2, prompt_tokens: 20 },
    ]);
    const keys = members.map(({ adapterId, version }) => `${adapterId}@${version}`);
    const served = await database.query<{ served: string }[]>(
      'SELECT served FROM served_versions WHERE served = ANY($1) ORDER BY served',
      [keys],
    );
    expect(served.map((row) => row.served)).toEqual(keys);
    const rows = await database.query<unknown[]>('SELECT 1 FROM usage_minutes WHERE served = $1', [
      keys.join('+'),
    ]);
    expect(rows).toHaveLength(1);
    await database.query('DELETE FROM usage_minutes WHERE served = $1', [keys.join('+')]);
    await database.query('DELETE FROM usage_rollups');
  });

  it('is summed per adapter, version and day, and in all', async () => {
    const meter = service();
    for (let index = 0; index < 5; index += 1) meter.record(record());
    meter.record(record({ version: 2, errorCode: 'internal_error', ttft_ms: undefined }));
    meter.record(record({ adapterId: undefined, adapter: undefined, version: undefined }));
    await meter.flush();

    const sums = { prompt_tokens: 70, cached_tokens: 28, completion_tokens: 21 };
    const times = { ttft_count: 6, ttft_ms_sum: 30, tpot_count: 7, tpot_ms_sum: 140, cost: 0 };
    expect((await usage()).data).toEqual([{ requests: 7, errors: 1, ...sums, ...times }]);
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
    expect((await usage(`?from=${tomorrow}&to=2999-01-01`)).data).toMatchObject([
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

describe('usage by time and key', () => {
  it('is grouped by minute, hour and key, and filtered by adapter and key', async () => {
    const meter = service();
    meter.record(record({ keyId: 'k1', adapter: 'fine' }));
    meter.record(record({ keyId: 'k2', adapter: 'fine' }));
    await meter.flush();
    const { data } = await usage('?group_by=minute,key&adapter=fine');
    expect(data).toMatchObject([
      { key: 'k1', requests: 1, ttft_count: 1, ttft_ms_sum: 5, tpot_count: 1, tpot_ms_sum: 20 },
      { key: 'k2', requests: 1 },
    ]);
    expect(data[0]?.minute).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:00.000Z$/);
    const [hour] = (await usage('?group_by=hour&key=k1')).data;
    expect(hour).toMatchObject({ requests: 1 });
    expect(hour?.hour).toMatch(/T\d\d:00:00.000Z$/);
  });

  it('comes as CSV by format or Accept', async () => {
    const path = '/v1/usage?group_by=adapter,key&adapter=fine';
    const expected = [
      'adapter,key,requests,prompt_tokens,cached_tokens,completion_tokens,errors,ttft_count,ttft_ms_sum,tpot_count,tpot_ms_sum,cost',
      'fine,k1,1,10,4,3,0,1,5,1,20,0',
      'fine,k2,1,10,4,3,0,1,5,1,20,0',
      '',
    ].join('\r\n');
    const byFormat = await acme.call<string>('GET', `${path}&format=csv`);
    expect(byFormat.body).toBe(expected);
    expect(byFormat.headers.get('content-type')).toContain('text/csv');
    const headers = { authorization: `Bearer ${acme.key}`, accept: 'text/csv' };
    expect(await (await fetch(platform.url + path, { headers })).text()).toBe(expected);
  });
});

describe('the daily rollup', () => {
  const DAY_MS = 86_400_000;
  let today_ms: number;
  beforeAll(() => {
    today_ms = Math.floor(Date.now() / DAY_MS) * DAY_MS;
  });
  const dayOf = (daysAgo: number) => new Date(today_ms - daysAgo * DAY_MS).toISOString().slice(0, 10);
  const signal = new AbortController().signal;
  const rollUp = () => new UsageRollup(database).rollUp(signal);

  /** Requests at noon of a day. */
  async function spend(daysAgo: number, requests: number, name = 'days'): Promise<void> {
    vi.useFakeTimers({ now: today_ms - (daysAgo - 0.5) * DAY_MS, toFake: ['Date'] });
    try {
      const meter = service();
      for (let index = 0; index < requests; index += 1) meter.record(record({ adapter: name }));
      await meter.flush();
    } finally {
      vi.useRealTimers();
    }
  }
  const days = async (query = '') =>
    (await usage(`?group_by=day&adapter=days&from=${dayOf(20)}${query}`)).data.map((row) => [
      row.day,
      row.requests,
    ]);

  it('changes no answer, is read instead of the minutes, and may run twice', async () => {
    for (const [daysAgo, requests] of [
      [3, 5],
      [2, 7],
      [1, 11],
    ] as const)
      await spend(daysAgo, requests);
    const before = await days();
    expect(before).toEqual([
      [dayOf(3), 5],
      [dayOf(2), 7],
      [dayOf(1), 11],
    ]);
    expect(await rollUp()).toEqual([dayOf(3), dayOf(2), dayOf(1)]);
    expect(await rollUp()).toEqual([]);
    expect(await days()).toEqual(before);
    // A part of a day can only come from its minutes.
    const noon = new Date(today_ms - 0.5 * DAY_MS).toISOString();
    expect((await usage(`?adapter=days&from=${dayOf(3)}&to=${noon}`)).data).toMatchObject([{ requests: 12 }]);
    await database.query("DELETE FROM usage_minutes WHERE adapter = 'days' AND minute < $1", [dayOf(1)]);
    expect(await days()).toEqual(before);
    await database.query(
      'INSERT INTO usage_minutes (tenant_id, minute, key_id, served, adapter, requests) SELECT tenant_id, day, key_id, served, adapter, requests FROM usage_days WHERE day < $1',
      [dayOf(1)],
    );
  });

  it('takes a day back for a minute that comes late, and counts it then', async () => {
    await spend(2, 1);
    expect(await days()).toEqual([
      [dayOf(3), 5],
      [dayOf(2), 8],
      [dayOf(1), 11],
    ]);
    expect(await rollUp()).toEqual([dayOf(2)]);
    expect(await days()).toEqual([
      [dayOf(3), 5],
      [dayOf(2), 8],
      [dayOf(1), 11],
    ]);
  });

  it('loses nothing that is written while it runs', async () => {
    const rounds = Array.from({ length: 12 }, (_, index) => index);
    await Promise.all([
      ...rounds.map(() => spend(5, 1, 'race')),
      (async () => {
        for (const _ of rounds) await rollUp();
      })(),
    ]);
    const count = async () => (await usage(`?adapter=race&from=${dayOf(20)}`)).data[0]?.requests;
    expect(await count()).toBe(rounds.length);
    await rollUp();
    expect(await count()).toBe(rounds.length);
  });
});

describe("the operator's usage", () => {
  it('is of all tenants, by tenant, and of one', async () => {
    await platform.tenant('globex');
    const { id } = await platform.admin.expect<{ id: string }>(200, 'GET', '/v1/admin/tenants/globex');
    const meter = service();
    meter.record(record({ tenantId: id, adapter: 'theirs' }));
    await meter.flush();
    const rows = async (query: string) =>
      (await platform.admin.expect<UsageList>(200, 'GET', `/v1/admin/usage${query}`)).data;
    expect(await rows('?group_by=tenant,adapter&adapter=theirs')).toMatchObject([
      { tenant: 'globex', adapter: 'theirs', requests: 1 },
    ]);
    expect((await rows('?group_by=tenant')).map(({ tenant }) => tenant)).toEqual(['acme', 'globex']);
    expect(await rows('?tenant=globex')).toMatchObject([{ requests: 1 }]);
    await platform.admin.expect(404, 'GET', '/v1/admin/usage?tenant=nobody');
    await acme.expect(403, 'GET', '/v1/admin/usage');
  });
});
