import { spawn } from 'node:child_process';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Queue } from 'bullmq';
import pg from 'pg';
import { INGEST_JOB } from '#adapters/intake/ingest-job.js';
import { startApi } from '../../apps/api/src/api-process.js';
import { migrateDatabase } from '../../apps/api/src/migrate-database.js';
import { apiSettings } from '../../apps/api/src/settings.js';
import { workerSettings } from '../../apps/worker/src/settings.js';
import { startWorker } from '../../apps/worker/src/worker-process.js';
import { makeLogger } from '#runtime/logger.js';
import { parseSettings } from '#runtime/settings.js';
import type { Closable } from '#runtime/shutdown.js';
import { startPostgres } from '../../scripts/lib/postgres.mjs';
import { startRedis } from '../../scripts/lib/redis.mjs';
import { Client, makeTenant } from './client.js';
import { FakeEngine } from './fake-engine.js';
import { goldenBase } from './golden-base.js';
import { ROOT } from './stack.js';

export const ADMIN_KEY = 'operator-key-for-tests';
const ENGINE_TOKEN = 'token';

type Env = Readonly<Record<string, string>>;

export interface PlatformOptions {
  /** The golden case whose model the engine says it has loaded. */
  readonly model?: string;
  /** Where jobs wait. */
  readonly queue?: 'redis' | 'postgres';
  /** False: versions stay `uploaded` until `startWorker` is called. */
  readonly worker?: boolean;
  /** Settings on top of the test's own. */
  readonly env?: Env;
}

/**
 * The control plane on real PostgreSQL and Redis, API and worker in this process; the engine is a tiny HTTP server
 * that says which golden model it has loaded.
 */
export class Platform {
  readonly #closables: Closable[] = [];
  readonly #workers: Closable[] = [];
  #logger = makeLogger('test', process.env.LOG_LEVEL ?? 'silent');

  private constructor(
    readonly folder: string,
    readonly engine: FakeEngine,
    public postgres: Awaited<ReturnType<typeof startPostgres>>,
    public redis: Awaited<ReturnType<typeof startRedis>> | undefined,
    readonly env: Env,
  ) {}

  /** Of the first API. */
  url = '';

  static async start({
    model = 'llama-gqa',
    queue = 'redis',
    worker = true,
    env = {},
  }: PlatformOptions = {}): Promise<Platform> {
    const folder = await mkdtemp(join(tmpdir(), 'lorikeet-platform-'));
    const engine = await FakeEngine.start('fake-0', ENGINE_TOKEN);
    engine.status = { ...engine.status, base: goldenBase(model) };
    const [postgres, redis] = await Promise.all([
      startPostgres({ directory: join(folder, 'postgres') }),
      queue === 'redis' ? startRedis({ directory: join(folder, 'redis') }) : undefined,
    ]);
    await mkdir(join(folder, 'blobs'));
    const platform = new Platform(folder, engine, postgres, redis, {
      ADMIN_API_KEY: ADMIN_KEY,
      SECRETS_KEY: 'a key of at least 32 characters for tests',
      DATABASE_URL: postgres.url,
      ...(redis ? { REDIS_URL: redis.url } : {}),
      STORAGE_URL: pathToFileURL(join(folder, 'blobs')).href,
      DATA_DIR: join(folder, 'data'),
      ENGINE_URLS: engine.url,
      ENGINE_TOKEN,
      PORT: '0',
      WORKER_PORT: '0',
      LOG_LEVEL: process.env.LOG_LEVEL ?? 'silent',
      ...env,
    });
    await migrateDatabase({ databaseUrl: postgres.url, redisUrl: redis?.url, logger: platform.#logger });
    platform.url = await platform.startApi();
    if (worker) await platform.startWorker();
    return platform;
  }

  /** One more API on the same stores; returns its URL. */
  async startApi(env: Env = {}): Promise<string> {
    const { url, closables } = await startApi(parseSettings(apiSettings, { ...this.env, ...env }));
    this.#closables.unshift(...closables);
    return url;
  }

  /** Returns where it answers `/health` and `/metrics`. */
  async startWorker(env: Env = {}): Promise<string> {
    const { url, closables } = await startWorker(parseSettings(workerSettings, { ...this.env, ...env }));
    this.#workers.unshift(...closables);
    return url;
  }

  /** Ends those of `startWorker`. */
  async stopWorkers(): Promise<void> {
    for (const closable of this.#workers.splice(0)) await closable.close();
  }

  /** PostgreSQL again, with its data and on its port, after `postgres.child.stop()`. */
  async restartPostgres(): Promise<void> {
    const { port } = this.postgres;
    this.postgres = await startPostgres({ directory: join(this.folder, 'postgres'), port });
  }

  async restartRedis(): Promise<void> {
    const port = this.redis?.port;
    this.redis = await startRedis({
      directory: join(this.folder, 'redis'),
      ...(port === undefined ? {} : { port }),
    });
  }

  /** Runs SQL on the platform's database. */
  async query<Row>(sql: string, values: unknown[] = []): Promise<Row[]> {
    const client = new pg.Client({ connectionString: this.postgres.url });
    await client.connect();
    try {
      return (await client.query(sql, values)).rows as Row[];
    } finally {
      await client.end();
    }
  }

  /** Jobs that some worker holds. */
  async activeJobs(): Promise<number> {
    if (!this.redis) throw new Error('the queue is not in Redis');
    const queue = new Queue(INGEST_JOB, { connection: { url: this.redis.url } });
    queue.on('error', () => undefined);
    try {
      return await queue.getActiveCount();
    } finally {
      await queue.close();
    }
  }

  /** A worker as a process of its own, from dist/. */
  spawnWorker() {
    return spawn(process.execPath, [join(ROOT, 'dist/apps/worker/src/main.js')], {
      env: { ...process.env, ...this.env },
      stdio: ['ignore', 'inherit', 'inherit'],
    });
  }

  get admin(): Client {
    return new Client(this.url, ADMIN_KEY);
  }

  tenant(name: string): Promise<Client> {
    return makeTenant(this.url, ADMIN_KEY, name);
  }

  async close(): Promise<void> {
    await this.stopWorkers();
    for (const closable of this.#closables) await closable.close();
    await this.engine.close();
    await this.redis?.child.stop();
    await this.postgres.child.stop();
    await rm(this.folder, { recursive: true, force: true });
  }
}
