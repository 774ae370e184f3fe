import pg from 'pg';
import { QUEUE_SCHEMA } from '#stores/queue/bull-queues.js';
import { MIGRATIONS } from '../../../migrations/in-order.js';
import { BackupError, type Manifest } from './archive.js';
import { NOT_DUMPED, tablesOf } from './database-dump.js';

/** Throws when this version cannot read the backup's tables. */
export function checkVersion({ migrations }: Pick<Manifest, 'migrations'>): void {
  const known = new Set(MIGRATIONS.map((migration) => new migration().name ?? migration.name));
  const newer = migrations.filter((name) => !known.has(name));
  if (newer.length === 0) return;
  throw new BackupError(
    `The backup is of a newer version of Lorikeet: this one does not know its migrations ${newer.join(', ')}.`,
  );
}

/** Throws when servers use the database, or something is in it. */
export async function checkUnused(client: pg.Client): Promise<void> {
  const { rows } = await client.query<{ count: number }>(
    `SELECT count(*)::int AS count FROM pg_stat_activity
     WHERE datname = current_database() AND pid <> pg_backend_pid() AND application_name LIKE 'lorikeet%'`,
  );
  if ((rows[0]?.count ?? 0) > 0) {
    throw new BackupError('Lorikeet runs on this database. Stop its API and worker first.');
  }
}

export async function checkEmpty(client: pg.Client): Promise<void> {
  for (const table of await tablesOf(client)) {
    if (NOT_DUMPED.has(table)) continue;
    const { rows } = await client.query(`SELECT 1 FROM public.${pg.escapeIdentifier(table)} LIMIT 1`);
    if (rows.length > 0) {
      throw new BackupError(
        `The database is not empty (there are rows in ${table}). --replace deletes what is in it first.`,
      );
    }
  }
}

/** Drops what we own in the database; others' tables stay. */
export async function dropEverything(client: pg.Client): Promise<void> {
  await client.query('BEGIN');
  for (const table of await tablesOf(client)) {
    await client.query(`DROP TABLE public.${pg.escapeIdentifier(table)} CASCADE`);
  }
  const { rows } = await client.query<{ signature: string }>(
    `SELECT oid::regprocedure::text AS signature FROM pg_proc
     WHERE pronamespace = 'public'::regnamespace AND pg_get_userbyid(proowner) = current_user AND prokind = 'f'`,
  );
  for (const { signature } of rows) await client.query(`DROP FUNCTION ${signature} CASCADE`);
  // Jobs that wait in PostgreSQL; a sweep makes those of the restored rows.
  await client.query(`DROP SCHEMA IF EXISTS ${pg.escapeIdentifier(QUEUE_SCHEMA)} CASCADE`);
  await client.query('COMMIT');
}
