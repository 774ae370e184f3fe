import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { makeLogger } from '#runtime/logger.js';
import { migrateDatabase } from '../../apps/api/src/migrate-database.js';
import { startPostgres } from '../../scripts/lib/postgres.mjs';
import { startRedis } from '../../scripts/lib/redis.mjs';
import { Balancer } from '../support/balancer.js';
import { type Client, makeTenant, type VersionBody } from '../support/client.js';
import { DEMO_FOLDER, demoIndex } from '../support/demo.js';
import { ServerProcess } from '../support/server-process.js';
import { freePort } from '../support/stack.js';

const ADMIN_KEY = 'operator-key-for-tests';
const TOKEN = 'a token between the processes';
const LOADERS = 4;
const UPLOADS = 4;

interface Server {
  readonly process: ServerProcess;
  readonly url: string;
}

let folder: string;
let postgres: Awaited<ReturnType<typeof startPostgres>>;
let redis: Awaited<ReturnType<typeof startRedis>>;
let engines: Server[] = [];
let apis: Server[] = [];
let worker: ServerProcess;
let balancer: Balancer;
let tenant: Client;
const index = demoIndex();

const isReady = async (url: string): Promise<boolean> =>
  (await fetch(`${url}/health/ready`).catch(() => undefined))?.status === 200;
const untilReady = ({ url, process }: Server) =>
  vi.waitFor(
    async () => {
      if (!(await isReady(url))) {
        const health = await fetch(`${url}/health/ready`).then((answer) => answer.text(), String);
        throw new Error(`${process.app} is not ready: ${health}\n${process.output.slice(-2_000)}`);
      }
    },
    { timeout: 240_000, interval: 100 },
  );

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lorikeet-rolling-'));
  [postgres, redis] = await Promise.all([
    startPostgres({ directory: join(folder, 'postgres') }),
    startRedis({ directory: join(folder, 'redis') }),
  ]);
  const logger = makeLogger('test', 'silent');
  await migrateDatabase({ databaseUrl: postgres.url, redisUrl: redis.url, logger });
  await mkdir(join(folder, 'blobs'));
  const common = {
    DATA_DIR: join(folder, 'data'),
    STORAGE_URL: pathToFileURL(join(folder, 'blobs')).href,
    ENGINE_TOKEN: TOKEN,
    SHUTDOWN_TIMEOUT: '120',
    SHUTDOWN_DELAY: '1',
    LOG_LEVEL: 'warn',
  };
  const ports = await Promise.all(Array.from({ length: 4 }, () => freePort()));
  const urls = ports.map((port) => `http://127.0.0.1:${port}`);
  engines = [0, 1].map((at) => ({
    url: urls[at] as string,
    process: new ServerProcess('engine', {
      ...common,
      MODEL_PATH: join(DEMO_FOLDER, index.base),
      MODEL_NAME: index.name,
      ENGINE_PORT: String(ports[at]),
      ENGINE_NAME: `engine-${at}`,
      THREADS: '1',
      KV_CACHE_BYTES: '64M',
    }),
  }));
  const plane = {
    ...common,
    DATABASE_URL: postgres.url,
    REDIS_URL: redis.url,
    SECRETS_KEY: 'a key of at least 32 characters for tests',
    ADMIN_API_KEY: ADMIN_KEY,
    ENGINE_URLS: urls.slice(0, 2).join(','),
    PARITY_CHECK: 'off',
  };
  apis = [2, 3].map((at) => ({
    url: urls[at] as string,
    process: new ServerProcess('api', { ...plane, PORT: String(ports[at]) }),
  }));
  worker = new ServerProcess('worker', plane);
  for (const { process } of [...engines, ...apis]) process.start();
  worker.start();
  await Promise.all([...engines, ...apis].map(untilReady));
  balancer = await Balancer.start(apis.map(({ url }) => url));
  await balancer.untilReady(apis.map(({ url }) => url));
  tenant = await makeTenant(balancer.url, ADMIN_KEY, 'steady');
}, 300_000);

afterAll(async () => {
  balancer?.close();
  await Promise.all([...apis, ...engines].map(({ process }) => process.stop('SIGKILL')));
  await worker?.stop('SIGKILL');
  await redis?.child.stop();
  await postgres?.child.stop();
  await rm(folder, { recursive: true, force: true });
});

/** Asks again and again, streamed and whole; what came short of a complete answer is a failure. */
class Load {
  #on = true;
  complete = 0;
  readonly failures: string[] = [];
  readonly #loops: Promise<void>[];

  constructor() {
    this.#loops = Array.from({ length: LOADERS }, (_, at) => this.#loop(at % 2 === 0));
  }

  async end(): Promise<void> {
    this.#on = false;
    await Promise.all(this.#loops);
  }

  async #loop(stream: boolean): Promise<void> {
    while (this.#on) {
      const fault = await ask(stream).catch(
        (error: unknown) => `${String(error)}: ${String((error as Error).cause)}`,
      );
      if (fault === undefined) this.complete += 1;
      else this.failures.push(fault);
    }
  }
}

async function ask(stream: boolean): Promise<string | undefined> {
  const body = { model: index.name, prompt: 'Once upon a time', max_tokens: 48, ignore_eos: true, stream };
  const answer = await fetch(`${balancer.url}/v1/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${tenant.key}`, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  const text = await answer.text();
  if (answer.status !== 200) return `${answer.status}: ${text}`;
  if (stream) return text.trimEnd().endsWith('data: [DONE]') ? undefined : `cut: ${text.slice(-300)}`;
  const { usage } = JSON.parse(text) as { usage: { completion_tokens: number } };
  return usage.completion_tokens === 48 ? undefined : `short: ${text}`;
}

it('loses no request while every process is restarted in turn, and no upload', async () => {
  const load = new Load();
  const restart = async (server: Server): Promise<void> => {
    const before = load.complete;
    expect([server.process.app, await server.process.stop()]).toEqual([server.process.app, 0]);
    server.process.start();
    await untilReady(server);
    await vi.waitFor(
      () => expect(load.complete + load.failures.length).toBeGreaterThan(before + LOADERS),
      60_000,
    );
  };
  for (const api of apis) {
    await restart(api);
    await balancer.untilReady([api.url]);
  }
  for (const engine of engines) await restart(engine);
  const [demo] = index.adapters;
  const uploads: VersionBody[] = [];
  for (let at = 0; at < UPLOADS; at++) {
    uploads.push((await tenant.uploadFolder(`bot-${at}`, join(DEMO_FOLDER, demo?.path ?? ''), 0)).body);
  }
  expect(await worker.stop()).toBe(0);
  worker.start();
  await load.end();
  expect(load.failures).toEqual([]);
  for (const { adapter } of uploads) {
    await vi.waitFor(
      async () => {
        const { state } = (await tenant.call<VersionBody>('GET', `/v1/adapters/${adapter}/versions/1`)).body;
        expect(state).toBe('ready');
      },
      { timeout: 60_000, interval: 100 },
    );
  }
}, 300_000);
