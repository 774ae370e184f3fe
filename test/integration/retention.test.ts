import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { DataSource } from 'typeorm';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { UsageRollup } from '#accounts/usage-rollup.service.js';
import { usageSql } from '#accounts/usage-sql.js';
import { makeLogger } from '#runtime/logger.js';
import { AuditLog } from '#stores/audit/audit-log.service.js';
import { firstIdAt, newId } from '#stores/ids.js';
import { makeDataSource } from '#stores/postgres/data-source.js';
import { storesEntities } from '#stores/stores.module.js';
import { migrateDatabase } from '../../apps/api/src/migrate-database.js';
import { startPostgres } from '../../scripts/lib/postgres.mjs';

const TENANT = newId();
const { signal } = new AbortController();

let folder: string;
let postgres: Awaited<ReturnType<typeof startPostgres>>;
let database: DataSource;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lorikeet-retention-'));
  postgres = await startPostgres({ directory: join(folder, 'postgres') });
  const logger = makeLogger('test', 'silent');
  await migrateDatabase({ databaseUrl: postgres.url, redisUrl: undefined, logger });
  database = await makeDataSource({
    url: postgres.url,
    poolSize: 4,
    entities: storesEntities,
    logger,
  }).initialize();
});
afterAll(async () => {
  await database?.destroy();
  await postgres?.child.stop();
  await rm(folder, { recursive: true, force: true });
});

const count = async (table: string): Promise<number> => {
  const [row] = await database.query<{ count: string }[]>(`SELECT count(*) FROM ${table}`);
  return Number(row?.count);
};

describe('usage by the minute', () => {
  const minute = async (at: string, requests: number): Promise<void> => {
    await database.query(
      `INSERT INTO usage_minutes (tenant_id, minute, key_id, served, requests, prompt_tokens)
       VALUES ($1, $2, 'k', 'base', $3, $3) ON CONFLICT (tenant_id, minute, key_id, served)
       DO UPDATE SET requests = usage_minutes.requests + excluded.requests`,
      [TENANT, at, requests],
    );
    await database.query(
      `INSERT INTO usage_rollups (day) VALUES ($1::date) ON CONFLICT (day) DO UPDATE SET rolled_at = NULL`,
      [at.slice(0, 10)],
    );
  };
  const requests = async (from: string, to: string, group?: 'day' | 'hour'): Promise<number[]> => {
    const { text, parameters } = usageSql({
      tenantId: TENANT,
      from: new Date(from),
      to: new Date(to),
      groups: new Set(group ? [group] : []),
      adapter: undefined,
      keyId: undefined,
      rowLimit: 100,
    });
    const rows = await database.query<{ requests: number }[]>(text, [...parameters]);
    return rows.map((row) => row.requests);
  };

  it('goes once its day is summed up and old, and no sum changes by that', async () => {
    const rollup = new UsageRollup(database);
    for (const hour of ['03', '11', '23']) await minute(`2026-01-01T${hour}:10:00Z`, 10);
    await minute('2026-01-02T05:00:00Z', 7);
    await minute('2026-03-01T05:00:00Z', 5);
    expect(await rollup.prune(new Date('2026-02-01'), signal)).toEqual([]); // not summed up yet
    await rollup.rollUp(signal, new Date('2026-03-02T00:00:00Z'));
    const all = () => requests('2026-01-01', '2026-04-01', 'day');
    const before = await all();
    expect(before).toEqual([30, 7, 5]);

    const [one, other] = await Promise.all([
      rollup.prune(new Date('2026-02-01'), signal),
      rollup.prune(new Date('2026-02-01'), signal),
    ]);
    expect([...one, ...other].sort()).toEqual(['2026-01-01', '2026-01-02']);
    expect(await count('usage_minutes')).toBe(1);
    expect(await all()).toEqual(before);
    expect(await requests('2026-01-01', '2026-04-01')).toEqual([42]);
    // Finer than a day, it stands at the day's beginning; half a day holds it whole or not at all.
    expect(await requests('2026-01-01', '2026-04-01', 'hour')).toEqual(before);
    expect(await requests('2026-01-01T00:00:00Z', '2026-01-01T12:00:00Z')).toEqual([30]);
    expect(await requests('2026-01-01T02:00:00Z', '2026-01-02T00:00:00Z')).toEqual([0]);
  });

  it('that comes late for a day that is gone is added to its sums', async () => {
    const rollup = new UsageRollup(database);
    await minute('2026-01-01T03:10:00Z', 4);
    expect(await requests('2026-01-01', '2026-01-02', 'day')).toEqual([34]);
    await rollup.rollUp(signal, new Date('2026-03-02T00:00:00Z'));
    expect(await requests('2026-01-01', '2026-01-02', 'day')).toEqual([34]);
    expect(await count('usage_minutes')).toBe(1);
    await rollup.prune(new Date('2026-02-01'), signal);
    expect(await requests('2026-01-01', '2026-01-02')).toEqual([34]);
  });

  it('of many rows goes in statements of bounded size', async () => {
    await database.query(
      `INSERT INTO usage_minutes (tenant_id, minute, key_id, served, requests)
       SELECT $1, '2026-01-10T00:00:00Z'::timestamptz + (i % 1440) * interval '1 minute', 'k' || i, 'base', 1
       FROM generate_series(1, 25000) i`,
      [TENANT],
    );
    await database.query("INSERT INTO usage_rollups (day) VALUES ('2026-01-10')");
    const rollup = new UsageRollup(database);
    await rollup.rollUp(signal, new Date('2026-03-02T00:00:00Z'));
    expect(await rollup.prune(new Date('2026-02-01'), signal)).toEqual(['2026-01-10']);
    expect(await count('usage_minutes')).toBe(1);
    expect(await requests('2026-01-10', '2026-01-11')).toEqual([25_000]);
  });
});

describe('the audit log', () => {
  it('loses what is older than the operator wants, says so, and still refuses everybody else', async () => {
    const audit = new AuditLog(database);
    const insert = (at: string, many: number) =>
      database.query(
        `INSERT INTO audit_entries (id, created_at, actor_type, actor_id, action, subject_type, subject_id)
         SELECT overlay($1::text placing lpad(to_hex(i), 12, '0') from 25)::uuid, $2, 'system', 's', 'x.y', 'x', 'x'
         FROM generate_series(1, $3) i`,
        [firstIdAt(Date.parse(at)), at, many],
      );
    await insert('2026-01-05T00:00:00Z', 12_001);
    await insert('2026-02-05T00:00:00Z', 3);
    await expect(database.query('DELETE FROM audit_entries')).rejects.toThrow(/append-only/);
    expect(await audit.prune(new Date('2026-02-01'), signal)).toBe(12_001);
    const { data } = await audit.list({ limit: 100, action: 'audit.prune' });
    expect(data.map(({ after }) => (after as { deleted: number }).deleted).sort()).toEqual([
      2_001, 5_000, 5_000,
    ]);
    expect(await count('audit_entries')).toBe(3 + data.length);
    expect(await audit.prune(new Date('2026-02-01'), signal)).toBe(0);
    for (const sql of [
      'DELETE FROM audit_entries',
      "UPDATE audit_entries SET action = 'z'",
      'TRUNCATE audit_entries',
    ])
      await expect(database.query(sql)).rejects.toThrow(/append-only/);
  });

  it('stops between two batches when the worker closes', async () => {
    expect(await new AuditLog(database).prune(new Date('2027-01-01'), AbortSignal.abort())).toBe(0);
  });
});
