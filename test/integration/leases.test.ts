import { setTimeout as sleep } from 'node:timers/promises';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { DataSource } from 'typeorm';
import { LeaseLoop, type LeaseLoopOptions } from '#pipelines/leases/lease-loop.js';
import { claimSql, type Lease } from '#pipelines/leases/lease-rules.js';
import { makeLogger } from '#runtime/logger.js';
import { newId } from '#stores/ids.js';
import { makeDataSource } from '#stores/postgres/data-source.js';
import { startPostgres } from '../../scripts/lib/postgres.mjs';
import { until } from '../support/webhooks.js';

const WORK = { table: 'work', fairBy: 'owner_id' };
const logger = makeLogger('test', 'silent');
const [ANN, BEN] = [newId(), newId()];

let folder: string;
let postgres: Awaited<ReturnType<typeof startPostgres>>;
let database: DataSource;
const loops: LeaseLoop[] = [];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lorikeet-leases-'));
  postgres = await startPostgres({ directory: join(folder, 'postgres') });
  database = makeDataSource({ url: postgres.url, poolSize: 10, entities: [], logger });
  await database.initialize();
  await database.query(
    'CREATE TABLE work (id uuid PRIMARY KEY, owner_id uuid NOT NULL, due_at timestamptz, lease_id uuid)',
  );
});
afterAll(async () => {
  await database?.destroy();
  await postgres?.child.stop();
  await rm(folder, { recursive: true, force: true });
});
beforeEach(() => database.query('TRUNCATE work'));
afterEach(async () => {
  await Promise.all(loops.splice(0).map((loop) => loop.close()));
});

const insert = (id: string, owner = ANN) =>
  database.query('INSERT INTO work VALUES ($1, $2, now(), NULL) ON CONFLICT DO NOTHING', [id, owner]);
async function add(count: number, owner = ANN): Promise<void> {
  for (let i = 0; i < count; i += 1) await insert(newId(), owner);
}
const left = async () =>
  (await database.query('SELECT id FROM work WHERE due_at IS NOT NULL')).length as number;
/** Ends the work if its lease still holds. */
const finish = ({ id, leaseId }: Lease) =>
  database.query('UPDATE work SET due_at = NULL, lease_id = NULL WHERE id = $1 AND lease_id = $2', [
    id,
    leaseId,
  ]);
function start(handle: LeaseLoopOptions['handle'], more: Partial<LeaseLoopOptions> = {}): LeaseLoop {
  const loop = new LeaseLoop(database, { work: WORK, concurrency: 8, perShare: 4, handle, logger, ...more });
  loops.push(loop);
  loop.start();
  return loop;
}

describe('leased work', () => {
  it('is done once by whichever of several workers takes it', async () => {
    await add(60);
    const done: string[] = [];
    const work = async (lease: Lease) => {
      await sleep(5);
      done.push(lease.id);
      await finish(lease);
    };
    for (let worker = 0; worker < 3; worker += 1) start(work);
    await until(left, (count) => count === 0);
    expect(done).toHaveLength(60);
    expect(new Set(done).size).toBe(60);
  });

  it('of one owner leaves room for the others, however much there is of it', async () => {
    await add(40, ANN);
    await add(2, BEN);
    const running: string[] = [];
    let release: () => void = () => undefined;
    const stuck = new Promise<void>((resolve) => (release = resolve));
    let mostOfAnn = 0;
    start(async (lease) => {
      running.push(lease.share);
      mostOfAnn = Math.max(mostOfAnn, running.filter((share) => share === ANN).length);
      if (lease.share === ANN) await stuck;
      await finish(lease);
    });
    await until(
      async () => running.filter((share) => share === BEN).length,
      (count) => count === 2,
    );
    expect(mostOfAnn).toBeLessThanOrEqual(4);
    release();
  });

  it('that fails is due again when its lease ends, and a worker that lost the lease writes nothing', async () => {
    await add(1);
    let tries = 0;
    let first: Lease | undefined;
    start(async (lease) => {
      tries += 1;
      if (tries === 1) {
        first = lease;
        throw new Error('boom');
      }
      await finish(lease);
    });
    await until(
      async () => tries,
      (count) => count === 1,
    );
    expect(await left()).toBe(1);
    await database.query('UPDATE work SET due_at = now()'); // the lease ends
    await until(left, (count) => count === 0);
    expect(tries).toBe(2);
    const [, written] = await finish(first as Lease);
    expect(written).toBe(0);
  });

  it('is given back at once by a worker that closes', async () => {
    await add(1);
    let taken = 0;
    const loop = start(async (_lease, signal) => {
      taken += 1;
      await sleep(60_000, undefined, { signal });
    });
    await until(
      async () => taken,
      (count) => count === 1,
    );
    await loop.close();
    const [row] = await database.query('SELECT lease_id, due_at <= now() AS due FROM work');
    expect(row).toEqual({ lease_id: null, due: true });
  });

  it('goes on by itself after the database was away', async () => {
    let done = 0;
    start(async (lease) => {
      await finish(lease);
      done += 1;
    });
    await add(1);
    await until(
      async () => done,
      (count) => count === 1,
    );
    await database.query(
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'",
    );
    // The pool may give out a connection of which it has not heard yet that it is cut.
    const id = newId();
    await until(
      () => insert(id).then(Boolean, () => false),
      (inserted) => inserted,
    );
    await expect.poll(() => done).toBe(2);
  });

  it('is claimed along its index, however much has been done before', async () => {
    await database.query(
      'CREATE INDEX IF NOT EXISTS work_due_at_idx ON work (due_at) WHERE due_at IS NOT NULL',
    );
    await database.query(
      'INSERT INTO work SELECT gen_random_uuid(), $1, NULL, NULL FROM generate_series(1, 20000)',
      [ANN],
    );
    await add(3);
    await database.query('ANALYZE work');
    const plan: { 'QUERY PLAN': string }[] = await database.query(`EXPLAIN ${claimSql(WORK)}`, [
      newId(),
      8,
      15,
      4,
      [],
    ]);
    const text = plan.map((row) => row['QUERY PLAN']).join('\n');
    expect(text).toContain('work_due_at_idx');
    expect(text).not.toMatch(/Seq Scan on work/);
  });
});
