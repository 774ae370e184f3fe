import { createServer, type Server, type Socket } from 'node:net';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makeLogger } from '#runtime/logger.js';
import { connect, makeDataSource } from '#stores/postgres/data-source.js';
import { isAway } from '#stores/postgres/database-error.js';
import type { DataSource } from 'typeorm';
import { startPostgres } from '../../scripts/lib/postgres.mjs';

/** A TCP relay that can stop passing anything on without closing a connection. */
class Relay {
  readonly #sockets = new Set<Socket>();
  readonly #server: Server;
  silent = false;

  constructor(port: number) {
    this.#server = createServer((client) => {
      const server = new (client.constructor as typeof Socket)();
      server.connect(port, '127.0.0.1');
      for (const [from, to] of [
        [client, server],
        [server, client],
      ] as const) {
        this.#sockets.add(from);
        from.on('data', (chunk) => {
          if (!this.silent) to.write(chunk);
        });
        from.on('close', () => to.destroy());
        from.on('error', () => to.destroy());
      }
    });
  }

  listen(): Promise<number> {
    return new Promise((resolve) => {
      this.#server.listen(0, '127.0.0.1', () => {
        const address = this.#server.address();
        resolve(typeof address === 'object' && address ? address.port : 0);
      });
    });
  }

  close(): void {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
  }
}

describe('a PostgreSQL that says nothing any more', () => {
  let folder: string;
  let postgres: Awaited<ReturnType<typeof startPostgres>>;
  let relay: Relay;
  let database: DataSource;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'lorikeet-silent-'));
    postgres = await startPostgres({ directory: folder });
    const url = new URL(postgres.url);
    relay = new Relay(Number(url.port));
    url.port = String(await relay.listen());
    const logger = makeLogger('test', 'silent');
    const source = makeDataSource({ url: url.href, poolSize: 1, entities: [], logger, statement_ms: 1_000 });
    database = await connect(source, logger, 10_000);
  });
  afterAll(async () => {
    await database?.destroy().catch(() => undefined);
    relay?.close();
    await postgres?.child.stop();
    await rm(folder, { recursive: true, force: true });
  });

  it('counts as away, in a transaction too, and is used again when it speaks', async () => {
    await database.query('SELECT 1');
    relay.silent = true;
    const failure: unknown = await database
      .transaction(async (manager) => manager.query('SELECT 2'))
      .catch((error: unknown) => error);
    expect(isAway(failure)).toBe(true);
    relay.silent = false;
    await expect.poll(() => database.query('SELECT 3 AS n').catch(() => undefined)).toEqual([{ n: 3 }]);
  });

  it('is not taken for one that is merely idle', async () => {
    const before: unknown = await database.query('SELECT pg_backend_pid() AS pid');
    await new Promise((resolve) => setTimeout(resolve, 3_000));
    expect(await database.query('SELECT pg_backend_pid() AS pid')).toEqual(before);
  });
});
