import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { DataSource } from 'typeorm';
import { accountsEntities } from '#accounts/accounts.module.js';
import { adaptersEntities } from '#adapters/adapters.module.js';
import { batchesEntities } from '#batches/batches.module.js';
import { pipelinesEntities } from '#pipelines/pipelines.module.js';
import { makeLogger } from '#runtime/logger.js';
import { makeDataSource } from '#stores/postgres/data-source.js';
import { storesEntities } from '#stores/stores.module.js';
import { migrateDatabase } from '../../apps/api/src/migrate-database.js';
import { MIGRATIONS } from '../../migrations/in-order.js';
import { startPostgres } from '../../scripts/lib/postgres.mjs';

const logger = makeLogger('test', 'silent');
let folder: string;
let postgres: Awaited<ReturnType<typeof startPostgres>>;
let database: DataSource;
const migrate = () => migrateDatabase({ databaseUrl: postgres.url, redisUrl: undefined, logger });

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lorikeet-migrations-'));
  postgres = await startPostgres({ directory: join(folder, 'postgres') });
  const entities = [
    ...storesEntities,
    ...accountsEntities,
    ...adaptersEntities,
    ...pipelinesEntities,
    ...batchesEntities,
  ];
  database = makeDataSource({ url: postgres.url, poolSize: 2, entities, migrations: MIGRATIONS, logger });
});
afterAll(async () => {
  if (database.isInitialized) await database.destroy();
  await postgres.child.stop();
  await rm(folder, { recursive: true, force: true });
});

describe('the migrations', () => {
  it('build the database from nothing, also when several start at once', async () => {
    const runs = await Promise.all([migrate(), migrate(), migrate()]);
    expect(runs.flat()).toHaveLength(MIGRATIONS.length);
    expect(await migrate()).toEqual([]);
  });

  it('leave nothing for the entities to change', async () => {
    await database.initialize();
    const { upQueries } = await database.driver.createSchemaBuilder().log();
    expect(upQueries.map(({ query }) => query)).toEqual([]);
  });

  it('name every constraint and index, as the entities do', async () => {
    const rows: { name: string }[] = await database.query(
      `SELECT indexname AS name FROM pg_indexes WHERE schemaname = 'public'
       UNION SELECT conname FROM pg_constraint WHERE connamespace = 'public'::regnamespace AND contype <> 'n'`,
    );
    expect(rows.map(({ name }) => name).filter((name) => /[0-9a-f]{8}/.test(name))).toEqual([
      expect.stringMatching(/^PK_/), // TypeORM's own table of migrations
    ]);
  });

  it('go back to nothing', async () => {
    for (const _ of MIGRATIONS) await database.undoLastMigration();
    const tables: { tablename: string }[] = await database.query(
      "SELECT tablename FROM pg_tables WHERE schemaname = 'public'",
    );
    expect(tables.map(({ tablename }) => tablename)).toEqual(['migrations']);
  });
});
