import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { DataSource } from 'typeorm';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { EventFanOut } from '#pipelines/webhooks/event-fan-out.service.js';
import { makeLogger } from '#runtime/logger.js';
import { newId } from '#stores/ids.js';
import { makeDataSource } from '#stores/postgres/data-source.js';
import { migrateDatabase } from '../../apps/api/src/migrate-database.js';
import { startPostgres } from '../../scripts/lib/postgres.mjs';

const DAY_MS = 24 * 3600_000;
const NOW = new Date('2026-03-31T12:00:00Z');
const TENANT = newId();

let folder: string;
let postgres: Awaited<ReturnType<typeof startPostgres>>;
let database: DataSource;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lorikeet-prune-'));
  postgres = await startPostgres({ directory: join(folder, 'postgres') });
  const logger = makeLogger('test', 'silent');
  await migrateDatabase({ databaseUrl: postgres.url, redisUrl: undefined, logger });
  database = await makeDataSource({ url: postgres.url, poolSize: 4, entities: [], logger }).initialize();
});
afterEach(() => database.query('DELETE FROM outbox_events'));
afterAll(async () => {
  await database?.destroy();
  await postgres?.child.stop();
  await rm(folder, { recursive: true, force: true });
});

const daysAgo = (days: number) => new Date(NOW.getTime() - days * DAY_MS);

/** Events made so many days ago; not dispatched where that is undefined. */
async function events(type: string, made: number, dispatched: number | undefined, count = 1): Promise<void> {
  const ids = Array.from({ length: count }, () => newId(daysAgo(made).getTime()));
  await database.query(
    `INSERT INTO outbox_events (id, tenant_id, type, payload, created_at, dispatched_at)
     SELECT id, $2, $3, '{}', $4, $5 FROM unnest($1::uuid[]) AS made (id)`,
    [ids, TENANT, type, daysAgo(made), dispatched === undefined ? null : daysAgo(dispatched)],
  );
}
const left = async () =>
  (await database.query<{ type: string }[]>('SELECT DISTINCT type FROM outbox_events ORDER BY type')).map(
    ({ type }) => type,
  );
const prune = (signal = new AbortController().signal) =>
  new EventFanOut(database).prune(NOW, { outgoing_days: 30, incoming_days: 90 }, signal);

describe('pruning the outbox', () => {
  it('forgets what was handed on more than 7 days ago, and nothing that waits, however old', async () => {
    await events('long ago', 30, 29);
    await events('just over', 7.1, 7.01);
    await events('just not', 7.1, 6.99);
    await events('late', 30, 1);
    await events('new', 1, 1);
    await events('waits', 30, undefined);
    await prune();
    expect(await left()).toEqual(['just not', 'late', 'new', 'waits']);
  });

  it('takes any number of rows, also several workers at once, and a row that somebody holds another time', async () => {
    await events('held', 30, 29);
    await events('many', 20, 19, 3_500);
    await database.transaction(async (manager) => {
      await manager.query("SELECT FROM outbox_events WHERE type = 'held' FOR UPDATE");
      await Promise.all([prune(), prune()]);
      expect(await left()).toEqual(['held']);
    });
    await prune();
    expect(await left()).toEqual([]);
  });

  it('stops when the worker closes', async () => {
    await events('old', 30, 29);
    await prune(AbortSignal.abort());
    expect(await left()).toEqual(['old']);
  });
});
