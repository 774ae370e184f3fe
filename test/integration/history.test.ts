import { DataSource } from 'typeorm';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { HistoryRetention } from '#accounts/history/history-retention.service.js';
import { UsageService, type UsageRecord } from '#accounts/usage.service.js';
import type { EngineHistoryList, HistoryList } from '#contracts/history-api.js';
import { makeLogger } from '#runtime/logger.js';
import { makeDataSource } from '#stores/postgres/data-source.js';
import { Client } from '../support/client.js';
import { answerWith } from '../support/fake-answers.js';
import { PASS_MIDNIGHT_MS, passMidnight } from '../support/midnight.js';
import { ADMIN_KEY, Platform } from '../support/platform.js';

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

const LIMITS = { goodputTtft_ms: 100, goodputTpot_ms: 50 };
const service = () => new UsageService(database, makeLogger('test', 'silent'), LIMITS);
const record = (changes: Partial<UsageRecord> = {}): UsageRecord => ({
  tenantId,
  keyId: 'key',
  adapterId: '0190a000-0000-7000-8000-000000000001',
  adapter: 'bot',
  version: 1,
  model: 'bot',
  requestId: 'r',
  promptTokens: 10,
  cachedTokens: 4,
  completionTokens: 3,
  errorCode: undefined,
  queue_ms: 2,
  ttft_ms: 40,
  total_ms: 100,
  tpots_ms: [20],
  ...changes,
});

/** Writes at another time, so that each test has its own. */
async function at(time: string, work: (meter: UsageService) => void): Promise<void> {
  vi.useFakeTimers({ now: Date.parse(time), toFake: ['Date'] });
  try {
    const meter = service();
    work(meter);
    await meter.flush();
  } finally {
    vi.useRealTimers();
  }
}
const history = async (query: string, path = '/v1/history') =>
  (await acme.expect<HistoryList>(200, 'GET', `${path}?${query}`)).data;

describe('the history of requests', () => {
  it('has counts, error codes, percentiles and goodput, by the minute, hour and day at once', async () => {
    await at('2026-03-10T10:00:30Z', (meter) => {
      for (const ttft_ms of [40, 60, 90, 300]) meter.record(record({ ttft_ms }));
      meter.record(record({ tpots_ms: [80] }));
      meter.record(
        record({ errorCode: 'engine_unavailable', ttft_ms: undefined, tpots_ms: [], completionTokens: 0 }),
      );
      meter.record(record({ errorCode: 'context_length_exceeded', ttft_ms: undefined, tpots_ms: [] }));
      meter.recordRefusal(tenantId, 'rate_limit_exceeded');
    });
    await at('2026-03-10T11:00:30Z', (meter) => meter.record(record()));
    const day = 'from=2026-03-10T00:00:00Z&to=2026-03-11T00:00:00Z';
    const [first, second] = await history(`${day}&step=1m`);
    expect(first).toMatchObject({
      at: '2026-03-10T10:00:00.000Z',
      requests: 8,
      errors: 3,
      error_codes: { engine_unavailable: 1, context_length_exceeded: 1, rate_limit_exceeded: 1 },
      prompt_tokens: 70,
      cached_tokens: 28,
      completion_tokens: 18,
      ttft: { count: 5, mean_ms: 106 },
      tpot: { count: 5, mean_ms: 32 },
      queue: { count: 7, mean_ms: 2 },
      // Three of the six that were answered or failed by a fault of ours.
      goodput: { requests: 3, tokens: 9, share: 0.5 },
    });
    expect(Math.abs((first?.ttft.p50_ms ?? 0) / 60 - 1)).toBeLessThan(0.26);
    expect(Math.abs((first?.ttft.p95_ms ?? 0) / 300 - 1)).toBeLessThan(0.26);
    expect(second).toMatchObject({ at: '2026-03-10T11:00:00.000Z', requests: 1 });
    expect((await history(`${day}&step=15m`)).map(({ requests }) => requests)).toEqual([8, 1]);
    expect((await history(`${day}&step=1h`)).map(({ requests }) => requests)).toEqual([8, 1]);
    expect(await history(`${day}&step=6h`)).toMatchObject([{ at: '2026-03-10T06:00:00.000Z', requests: 9 }]);
    const [whole] = await history(`${day}&step=1d`);
    expect(whole).toMatchObject({ requests: 9, error_codes: { engine_unavailable: 1 }, ttft: { count: 6 } });
  });

  it('is of an adapter, of the base model, of a tenant, or of all', async () => {
    const { id } = await platform.admin.expect<{ id: string }>(201, 'POST', '/v1/admin/tenants', {
      name: 'globex',
    });
    await at('2026-03-12T10:00:00Z', (meter) => {
      for (let index = 0; index < 3; index += 1) meter.record(record());
      meter.record(record({ adapterId: undefined, adapter: undefined, version: undefined }));
      meter.record(record({ tenantId: id }));
    });
    const day = 'from=2026-03-12&to=2026-03-13&step=1d';
    const admin = async (query: string) =>
      (await platform.admin.expect<HistoryList>(200, 'GET', `/v1/admin/history?${day}${query}`)).data[0]
        ?.requests;
    expect((await history(`${day}&adapter=bot`))[0]?.requests).toBe(3);
    expect((await history(`${day}&adapter=-`))[0]?.requests).toBe(1);
    expect((await history(day))[0]?.requests).toBe(4);
    expect(await history(`${day}&adapter=unknown`)).toEqual([]);
    expect([await admin(''), await admin('&tenant=globex'), await admin('&tenant=acme&adapter=bot')]).toEqual(
      [5, 1, 3],
    );
    await platform.admin.expect(400, 'GET', '/v1/admin/history?adapter=bot');
    await platform.admin.expect(404, 'GET', '/v1/admin/history?tenant=nobody');
    await acme.expect(403, 'GET', '/v1/admin/history');
  });

  it('counts each request of several processes once, whichever writes first', async () => {
    const meters = [service(), service(), service()];
    const before = (await history('step=1d'))[0]?.requests ?? 0;
    for (let round = 0; round < 5; round += 1) {
      for (const meter of meters) meter.record(record());
      await Promise.all(meters.map((meter) => meter.flush()));
    }
    expect(((await history('step=1d'))[0]?.requests ?? 0) - before).toBe(15);
  });

  it('keeps rows of a bounded number of adapters a day, and the others together', async () => {
    await at('2026-03-13T10:00:00Z', (meter) => {
      for (let index = 0; index < 510; index += 1) meter.record(record({ adapter: `bot-${index}` }));
    });
    const day = 'from=2026-03-13&to=2026-03-14&step=1d';
    expect((await history(`${day}&adapter=bot-0`))[0]?.requests).toBe(1);
    expect((await history(`${day}&adapter=%2B`))[0]?.requests).toBe(10);
    expect((await history(day))[0]?.requests).toBe(510);
  });

  it('is what requests over HTTP did, and another API process shows it', async () => {
    platform.engine.script = answerWith([1, 2, 3]);
    const before = (await history(''))[0]?.requests ?? 0;
    await acme.expect(200, 'POST', '/v1/completions', { model: 'llama-gqa', prompt: 'x' });
    await acme.expect(404, 'POST', '/v1/completions', { model: 'nobody', prompt: 'x' });
    const [point] = (await history('step=1d&adapter=-')).slice(-1);
    expect(point).toMatchObject({ completion_tokens: 3, errors: 0, ttft: { count: 1 }, tpot: { count: 1 } });
    const other = new Client(await platform.startApi(), ADMIN_KEY);
    const { data } = await other.expect<HistoryList>(200, 'GET', '/v1/admin/history?tenant=acme&step=1d');
    expect(data[0]?.error_codes).toEqual({ model_not_found: 1 });
    expect(data[0]?.requests).toBeGreaterThanOrEqual(before + 2);
  });

  it('is forgotten by step', async () => {
    const rows = async (step: string) =>
      (
        await platform.query<{ count: string }>(
          'SELECT count(*) FROM request_figures WHERE step = $1 AND at < $2',
          [step, '2026-03-11'],
        )
      ).map(({ count }) => Number(count));
    const days = await rows('day');
    const retention = new HistoryRetention(database);
    const { signal } = new AbortController();
    expect(await retention.prune('minute', new Date('2026-03-11'), signal)).toBeGreaterThan(0);
    expect(await rows('minute')).toEqual([0]);
    expect(await rows('day')).toEqual(days);
  });

  it('refuses a range that is none', async () => {
    for (const query of [
      'from=2026-02-01&to=2026-01-01',
      'step=2m',
      'from=yesterday',
      'from=2026-01-01&step=1m',
    ])
      expect([query, (await acme.call('GET', `/v1/history?${query}`)).status]).toEqual([query, 400]);
  });
});

describe('the history of engines', () => {
  it('has what was busy on each, as several processes saw it', async () => {
    const { engine } = platform;
    engine.status = {
      ...engine.status,
      load: { runningRequests: 3, waitingRequests: 2, queuedTokens: 70 },
      kv: { ...engine.status.kv, pages: 8, freePages: 2 },
    };
    const newest = async () => {
      const path = '/v1/admin/history/engines?engine=fake-0';
      const { data } = await platform.admin.expect<EngineHistoryList>(200, 'GET', path);
      return data.at(-1);
    };
    await expect.poll(newest, { timeout: 30_000 }).toMatchObject({
      engine: 'fake-0',
      ready_share: 1,
      most_running_requests: 3,
      most_waiting_requests: 2,
    });
    expect((await newest())?.kv_share).toBeGreaterThan(0);
    expect((await newest())?.kv_share).toBeLessThanOrEqual(0.75);
  });
});
