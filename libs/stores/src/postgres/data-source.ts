import 'reflect-metadata';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from '#runtime/logger.js';
import { DataSource, type EntitySchema, type MigrationInterface } from 'typeorm';
import { isAway } from './database-error.js';
import { FairPool } from './fair-pool.js';
import { watchedClient } from './watched-client.js';

// eslint-disable-next-line typescript/no-unsafe-function-type -- TypeORM's own type for an entity class
export type EntityClass = EntitySchema | (new () => object);

export interface DataSourceOptions {
  readonly url: string;
  readonly poolSize: number;
  readonly entities: readonly EntityClass[];
  readonly migrations?: readonly (new () => MigrationInterface)[];
  readonly logger: Logger;
  /** Longest time that one statement may take; absent: as long as a migration may. */
  readonly statement_ms?: number;
}

/** Fails a query that waits for a connection or a lock this long, so that a caller hears of it. */
const CONNECT_TIMEOUT_MS = 3_000;
const LONGEST_STATEMENT_MS = 30_000;
/** PostgreSQL ends a statement by itself; only one that is away misses its time by so much. */
const SILENCE_MS = 1_000;

export function makeDataSource(options: DataSourceOptions): DataSource {
  const { statement_ms = LONGEST_STATEMENT_MS } = options;
  return new DataSource({
    type: 'postgres',
    driver: { Pool: FairPool },
    url: options.url,
    entities: [...options.entities],
    migrations: [...(options.migrations ?? [])],
    migrationsTableName: 'migrations',
    synchronize: false,
    installExtensions: false,
    applicationName: 'lorikeet',
    poolSize: options.poolSize,
    connectTimeoutMS: CONNECT_TIMEOUT_MS,
    // An idle connection that breaks is replaced by the next query; nothing else has to happen.
    poolErrorHandler: (err: unknown) => options.logger.warn({ err }, 'a database connection broke'),
    extra: {
      keepAlive: true,
      statement_timeout: statement_ms,
      Client: watchedClient(statement_ms + SILENCE_MS),
    },
  });
}

/** Connects, waiting for a database that is still starting; throws when it is not there after `patience_ms`. */
export async function connect(
  dataSource: DataSource,
  logger: Logger,
  patience_ms: number,
): Promise<DataSource> {
  const deadline = Date.now() + patience_ms;
  for (let delay_ms = 100; ; delay_ms = Math.min(delay_ms * 2, 2_000)) {
    try {
      return await dataSource.initialize();
    } catch (error) {
      if (!isAway(error) || Date.now() + delay_ms > deadline) throw error;
      logger.warn({ err: error }, 'PostgreSQL is not there yet');
      await sleep(delay_ms);
    }
  }
}
