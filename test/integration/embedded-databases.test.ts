import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import pg from 'pg';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { startPostgres } from '../../scripts/lib/postgres.mjs';
import { startRedis } from '../../scripts/lib/redis.mjs';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'lorikeet databases '));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

async function query(url: string, text: string): Promise<unknown[]> {
  const client = new pg.Client(url);
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(text)).rows;
  } finally {
    await client.end();
  }
}

describe('the embedded PostgreSQL', () => {
  it('gives a UTF-8 database to a role that is no superuser, and keeps its data', async () => {
    const directory = join(folder, 'postgres');
    const first = await startPostgres({ directory });
    const facts = `SELECT current_database() AS db, pg_encoding_to_char(encoding) AS encoding, rolsuper
      FROM pg_database, pg_roles WHERE datname = current_database() AND rolname = current_user`;
    expect(await query(first.url, facts)).toEqual([{ db: 'lorikeet', encoding: 'UTF8', rolsuper: false }]);
    await query(first.url, "CREATE TABLE kept AS SELECT 'ü' AS word");
    expect(await first.child.stop()).toEqual({ code: 0, signal: null });
    const second = await startPostgres({ directory });
    expect(await query(second.url, 'SELECT word FROM kept')).toEqual([{ word: 'ü' }]);
    await second.child.stop();
  });

  it('refuses a wrong password', async () => {
    const { child, url } = await startPostgres({ directory: join(folder, 'postgres') });
    await expect(query(url.replace(/:[^:@]+@/, ':wrong@'), 'SELECT 1')).rejects.toThrow(/password/);
    await child.stop();
  });

  it('starts after kill -9 with what was committed', async () => {
    const directory = join(folder, 'postgres');
    const first = await startPostgres({ directory });
    await query(first.url, 'CREATE TABLE kept AS SELECT 7 AS n');
    process.kill(first.child.pid as number, 'SIGKILL');
    await first.child.exited;
    const second = await startPostgres({ directory });
    expect(await query(second.url, 'SELECT n FROM kept')).toEqual([{ n: 7 }]);
    await second.child.stop();
  });

  it('ends a server that lost its starter before it starts its own', async () => {
    const directory = join(folder, 'postgres');
    const first = await startPostgres({ directory });
    const second = await startPostgres({ directory });
    await expect.poll(() => first.child.running).toBe(false); // its end is told after the port is free
    await second.child.stop();
  });

  it("starts when another process got the number in a killed server's postmaster.pid", async () => {
    const directory = join(folder, 'postgres');
    const first = await startPostgres({ directory });
    const file = join(directory, '18', 'postmaster.pid');
    const recorded = readFileSync(file, 'utf8');
    await first.child.stop();
    writeFileSync(file, recorded.replace(/^\d+/, String(process.ppid)));
    const second = await startPostgres({ directory });
    expect(await query(second.url, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
    await second.child.stop();
  });
});

describe('the Redis of our own', () => {
  it('wants its password and keeps what it acknowledged before kill -9', async () => {
    const directory = join(folder, 'redis');
    const first = await startRedis({ directory });
    const client = new Redis(first.url);
    await client.set('job', 'kept');
    expect(await client.config('GET', 'maxmemory-policy')).toEqual(['maxmemory-policy', 'noeviction']);
    client.disconnect();
    const stranger = new Redis(first.url.replace(/:[^:@]+@/, ''), {
      lazyConnect: true,
      retryStrategy: () => null,
    });
    stranger.on('error', () => {});
    await expect(stranger.get('job')).rejects.toThrow(/NOAUTH|Authentication/);
    stranger.disconnect();
    process.kill(first.child.pid as number, 'SIGKILL');
    await first.child.exited;
    const second = await startRedis({ directory });
    const again = new Redis(second.url);
    expect(await again.get('job')).toBe('kept');
    again.disconnect();
    await second.child.stop();
  });
});
