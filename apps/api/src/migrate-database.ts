import { QUEUE_SCHEMA } from '#stores/queue/bull-queues.js';
import { connect, makeDataSource } from '#stores/postgres/data-source.js';
import type { Logger } from '#runtime/logger.js';
import { runMigrations } from 'bullmq';
import pg from 'pg';
import { MIGRATIONS } from '../../../migrations/in-order.js';

export interface MigrateOptions {
  readonly databaseUrl: string;
  /** Absent: the queue lies in PostgreSQL too and gets its tables. */
  readonly redisUrl: string | undefined;
  readonly logger: Logger;
  /** Names of the migrations that may run; absent: all. */
  readonly only?: readonly string[];
}

/** Any number; all who migrate agree on it. */
const LOCK_ID = 0x10121;
const PATIENCE_MS = 60_000;

/** Brings the database up to date. Several processes may call it at once: one works, the others wait for it. */
export async function migrateDatabase({
  databaseUrl,
  redisUrl,
  logger,
  only,
}: MigrateOptions): Promise<readonly string[]> {
  const dataSource = makeDataSource({
    url: databaseUrl,
    poolSize: 2,
    entities: [],
    migrations: only
      ? MIGRATIONS.filter((migration) => only.includes(new migration().name ?? ''))
      : MIGRATIONS,
    logger,
  });
  await connect(dataSource, logger, PATIENCE_MS);
  const guard = new pg.Client({ connectionString: databaseUrl });
  try {
    await guard.connect();
    await guard.query('SELECT pg_advisory_lock($1)', [LOCK_ID]);
    const done = await dataSource.runMigrations({ transaction: 'each' });
    if (redisUrl === undefined && !only) await runMigrations(guard, QUEUE_SCHEMA);
    return done.map(({ name }) => name);
  } finally {
    await guard.end();
    await dataSource.destroy();
  }
}
