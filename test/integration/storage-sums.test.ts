import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makeLogger } from '#runtime/logger.js';
import { migrateDatabase } from '../../apps/api/src/migrate-database.js';
import { adapterId, fillDatabase, TENANT } from '../../bench/platform/fill-database.mjs';
import { startPostgres } from '../../scripts/lib/postgres.mjs';

const ADAPTERS = 40;
const OTHER = '01900000-0000-7000-8000-eeeeeeeeeeee';

let folder: string;
let postgres: Awaited<ReturnType<typeof startPostgres>>;
let client: pg.Client;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lorikeet-sums-'));
  postgres = await startPostgres({ directory: join(folder, 'postgres') });
  const logger = makeLogger('test', 'silent');
  await migrateDatabase({ databaseUrl: postgres.url, redisUrl: undefined, logger });
  client = new pg.Client({ connectionString: postgres.url });
  await client.connect();
  await fillDatabase(client, { from: 1, to: ADAPTERS });
});
afterAll(async () => {
  await client?.end();
  await postgres?.child.stop();
  await rm(folder, { recursive: true, force: true });
});

/** The triggers' sums, and what they must be. */
const SUMS =
  'SELECT tenant_id, stored_bytes::int AS bytes FROM tenant_storage WHERE stored_bytes <> 0 ORDER BY 1';
const BLOBS = 'SELECT tenant_id, sha256, bytes::int, holders::int FROM tenant_blobs ORDER BY 1, 2';
const TRUE_BLOBS = `
  SELECT tenant_id, sha256, min(bytes)::int AS bytes, count(*)::int AS holders FROM (
    SELECT tenant_id, sha256, bytes FROM version_files WHERE name <> 'manifest.json'
    UNION ALL SELECT tenant_id, sha256, bytes FROM files
  ) AS stored GROUP BY 1, 2 ORDER BY 1, 2`;
const TRUE_SUMS = `SELECT tenant_id, sum(bytes)::int AS bytes FROM (${TRUE_BLOBS}) AS held GROUP BY 1 ORDER BY 1`;

async function check(): Promise<number> {
  const rows = async (sql: string) => (await client.query(sql)).rows as { bytes: number }[];
  expect(await rows(BLOBS)).toEqual(await rows(TRUE_BLOBS));
  const sums = await rows(SUMS);
  expect(sums).toEqual(await rows(TRUE_SUMS));
  return sums.reduce((sum, { bytes }) => sum + bytes, 0);
}

/** A file more for each version of one adapter. */
const ADD = `
  INSERT INTO version_files (version_id, name, tenant_id, sha256, bytes)
  SELECT id, $2, tenant_id, $3, $4 FROM adapter_versions WHERE adapter_id = $1`;

describe("a tenant's stored bytes stay those of its distinct files", () => {
  it('when many rows come in one statement', async () => {
    expect(await check()).toBe(ADAPTERS * 10 * 1000);
  });

  it('when rows of one statement hold the same bytes, which others hold already or not', async () => {
    const before = await check();
    await client.query(ADD, [adapterId(1), 'README.md', 'same', 7]);
    expect(await check()).toBe(before + 7);
    await client.query(ADD, [adapterId(2), 'README.md', 'same', 7]);
    expect(await check()).toBe(before + 7);
    await client.query(ADD, [adapterId(3), 'manifest.json.old', 'other', 5]);
    expect(await check()).toBe(before + 12);
  });

  it('when files that belong to no version come and go, with bytes that a version holds or not', async () => {
    const before = await check();
    const add = `INSERT INTO files (id, tenant_id, filename, purpose, sha256, bytes, created_at)
      SELECT gen_random_uuid(), tenant_id, 'manifest.json', 'batch', unnest(ARRAY['same', 'own', 'own']), 7, now()
      FROM adapter_versions WHERE adapter_id = $1 LIMIT 3`;
    await client.query(add, [adapterId(1)]);
    expect(await check()).toBe(before + 7);
    await client.query("DELETE FROM files WHERE sha256 = 'same'");
    expect(await check()).toBe(before + 7);
    await client.query('DELETE FROM files');
    expect(await check()).toBe(before);
  });

  it('when rows change their bytes, their name or their tenant', async () => {
    const before = await check();
    await client.query(
      "UPDATE version_files SET sha256 = 'new', bytes = 9 WHERE sha256 = 'same' AND version_id = ANY (SELECT id FROM adapter_versions WHERE adapter_id = $1)",
      [adapterId(1)],
    );
    expect(await check()).toBe(before + 9);
    await client.query("UPDATE version_files SET sha256 = sha256 || ''");
    expect(await check()).toBe(before + 9);
    await client.query("UPDATE version_files SET tenant_id = $1 WHERE sha256 IN ('new', 'other')", [OTHER]);
    expect(await check()).toBe(before + 9);
    await client.query(
      "UPDATE version_files SET name = 'x' WHERE name = 'manifest.json' AND tenant_id = $1",
      [TENANT.id],
    );
    await check();
    await client.query("UPDATE version_files SET name = 'manifest.json' WHERE name = 'x'");
    expect(await check()).toBe(before + 9);
  });

  it('when rows go, by themselves or by a cascade of adapters or versions', async () => {
    const before = await check();
    await client.query("DELETE FROM version_files WHERE sha256 = 'other'");
    expect(await check()).toBe(before - 5);
    await client.query('DELETE FROM adapter_versions WHERE adapter_id = $1 AND number > 1', [adapterId(2)]);
    expect(await check()).toBe(before - 5 - 9_000);
    await client.query('DELETE FROM adapters WHERE id = ANY ($1)', [[1, 2, 4, 5].map(adapterId)]);
    expect(await check()).toBe((ADAPTERS - 4) * 10 * 1000);
  });

  it('when a statement is undone', async () => {
    const before = await check();
    await client.query('BEGIN');
    await client.query(ADD, [adapterId(7), 'README.md', 'undone', 7]);
    await client.query('DELETE FROM adapters WHERE id = $1', [adapterId(8)]);
    await client.query('ROLLBACK');
    expect(await check()).toBe(before);
  });

  it('when several add and delete the same bytes at once, without a deadlock', async () => {
    const clients = Array.from({ length: 4 }, () => new pg.Client({ connectionString: postgres.url }));
    await Promise.all(clients.map((each) => each.connect()));
    const change = async (each: pg.Client, index: number) => {
      for (let round = 0; round < 10; round += 1) {
        await each.query(ADD, [adapterId(10 + index), 'README.md', `round ${round % 3}`, 7]);
        await each.query(
          "DELETE FROM version_files WHERE name = 'README.md' AND version_id IN (SELECT id FROM adapter_versions WHERE adapter_id = $1)",
          [adapterId(10 + index)],
        );
      }
      await each.query(ADD, [adapterId(10 + index), 'README.md', 'last', 7]);
    };
    const before = await check();
    await Promise.all(clients.map(change));
    await Promise.all(clients.map((each) => each.end()));
    expect(await check()).toBe(before + 7);
  });
});
