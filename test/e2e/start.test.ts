import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { Client } from '../support/client.js';
import { DEMO_FOLDER, demoIndex } from '../support/demo.js';
import { descendants, listProcesses, type ProcessInfo } from '../support/processes.js';
import { ROOT } from '../support/stack.js';

const READY_MS = 240_000;
const GONE_MS = 30_000;

/** `npm start` as a person runs it, with everything that it started. */
interface Started {
  readonly npm: ChildProcess;
  readonly url: string;
  /** Up to the moment when it was ready. */
  readonly output: string;
  /** Up to now. */
  readonly said: () => string;
  readonly processes: readonly ProcessInfo[];
}

/** Ones of a start that are still there; a zombie has ended. */
function alive(processes: readonly ProcessInfo[]): string[] {
  const now = new Map(listProcesses().map(({ pid, command }) => [pid, command]));
  return processes
    .filter(({ pid, command }) => command !== '' && now.get(pid) === command)
    .map((p) => p.command);
}

async function untilGone(processes: readonly ProcessInfo[]): Promise<void> {
  const deadline = Date.now() + GONE_MS;
  while (alive(processes).length > 0 && Date.now() < deadline) await sleep(50);
  expect(alive(processes)).toEqual([]);
}

const curlsOf = (output: string): string[] => output.split('\n').filter((line) => line.startsWith('curl '));
const programs = ({ processes }: Started): string => processes.map(({ command }) => command).join('\n');

describe('npm start', () => {
  let dataDir: string;
  let running: ChildProcess | undefined;

  beforeAll(() => {
    dataDir = mkdtempSync(join(tmpdir(), 'lorikeet start '));
  });
  afterEach(() => {
    if (running?.pid && running.exitCode === null && running.signalCode === null)
      process.kill(-running.pid, 'SIGKILL');
  });
  afterAll(() => rmSync(dataDir, { recursive: true, force: true }));

  async function start(): Promise<Started> {
    const npm = spawn('npm', ['start', '--silent', '--', '--port', '0', '--data-dir', dataDir], {
      cwd: ROOT,
      env: { ...process.env, PORT: '', DATA_DIR: '' },
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true, // a process group of its own, as in a terminal
    });
    running = npm;
    let output = '';
    for (const stream of [npm.stdout, npm.stderr]) {
      stream.on('data', (chunk: Buffer) => {
        output += chunk.toString();
      });
    }
    const deadline = Date.now() + READY_MS;
    while (!output.includes('Ctrl-C stops everything')) {
      if (npm.exitCode !== null || Date.now() > deadline)
        throw new Error(`npm start did not get ready:\n${output}`);
      await sleep(50);
    }
    const url = /^ +API +(http\S+)$/m.exec(output)?.[1] as string;
    return { npm, url, output, said: () => output, processes: descendants(npm.pid as number) };
  }

  /** As a terminal does it: to the whole process group, so that the starter gets it from npm too. */
  async function pressCtrlC({ npm, processes }: Started): Promise<void> {
    const ended = new Promise((resolve) => npm.once('exit', resolve));
    process.kill(-(npm.pid as number), 'SIGINT');
    await ended;
    await untilGone(processes);
  }

  /** Runs the starter where it is expected to give up. */
  function refused(env: Readonly<Record<string, string>>): { code: number | null; text: string } {
    const { status, stdout, stderr } = spawnSync(process.execPath, [join(ROOT, 'scripts/start.mjs')], {
      cwd: ROOT,
      env: { ...process.env, ...env },
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    return { code: status, text: stdout + stderr };
  }

  let firstKeys: string[];
  const keysOf = (output: string) =>
    ['Operator', 'Demo'].map((name) => new RegExp(`${name} key +(\\S+)`).exec(output)?.[1] as string);

  it("prints one curl per demo adapter, and each answers in its adapter's manner", async () => {
    const started = await start();
    firstKeys = keysOf(started.output);
    const { adapters } = demoIndex();
    const curls = curlsOf(started.output);
    expect(curls).toHaveLength(adapters.length);
    for (const [i, { example }] of adapters.entries()) {
      const answer = execFileSync('sh', ['-c', curls[i] as string], { encoding: 'utf8' });
      expect(JSON.parse(answer)).toMatchObject({ choices: [{ message: { content: example.expected } }] });
    }
    for (const app of ['api', 'engine', 'worker']) expect(programs(started)).toContain(`dist/apps/${app}/`);

    const again = refused({ DATA_DIR: dataDir, PORT: '0' });
    expect(again.code).toBe(1);
    expect(again.text).toContain(`already runs on ${dataDir}`);

    const elsewhere = mkdtempSync(join(tmpdir(), 'lorikeet start '));
    const samePort = refused({ DATA_DIR: elsewhere, PORT: new URL(started.url).port });
    expect(samePort.code).toBe(1);
    expect(samePort.text).toContain('is in use by another program');
    rmSync(elsewhere, { recursive: true });

    await pressCtrlC(started);
    expect(started.said()).toContain('Everything has stopped.');
  });

  it('starts a second time with the same keys and versions, without installing or building, and survives kill -9', async () => {
    const started = await start();
    expect(started.output).not.toMatch(/installing|compiling/);
    expect(keysOf(started.output)).toEqual(firstKeys);
    const demo = new Client(started.url, firstKeys[1] as string);
    for (const { name } of demoIndex().adapters) {
      const { data } = await demo.expect<{ data: unknown[] }>(200, 'GET', `/v1/adapters/${name}/versions`);
      expect(data).toHaveLength(1);
    }
    const starter = started.processes.find(({ command }) => /^\S*node scripts\/start\.mjs/.test(command));
    process.kill(starter?.pid as number, 'SIGKILL');
    await untilGone(started.processes);
  });

  it('starts after that, and stops everything when npm itself is killed', async () => {
    const started = await start();
    expect(keysOf(started.output)).toEqual(firstKeys);
    started.npm.kill('SIGKILL');
    await untilGone(started.processes);
  });

  it('keeps the keys to their owner and shows no secret in the process list', async () => {
    const started = await start();
    const secrets = [
      ...firstKeys,
      ...['postgres/password', 'redis/password'].map((file) =>
        readFileSync(join(dataDir, file), 'utf8').trim(),
      ),
    ];
    for (const secret of secrets) expect(programs(started)).not.toContain(secret);
    await pressCtrlC(started);
  });

  it('refuses a base that it cannot serve at once, before anything is made for it', () => {
    const model = mkdtempSync(join(tmpdir(), 'lorikeet base '));
    const data = mkdtempSync(join(tmpdir(), 'lorikeet start '));
    cpSync(join(DEMO_FOLDER, 'base'), model, { recursive: true });
    const config = JSON.parse(readFileSync(join(model, 'config.json'), 'utf8')) as object;
    const write = (change: object) =>
      writeFileSync(join(model, 'config.json'), JSON.stringify({ ...config, ...change }));
    try {
      write({ model_type: 'frog', architectures: ['FrogForCausalLM'] });
      const other = refused({ DATA_DIR: data, PORT: '0', MODEL_PATH: model });
      expect(other.code).toBe(1);
      expect(other.text.match(/FrogForCausalLM|"frog"/g)).toHaveLength(1);
      write({ num_hidden_layers: 99 });
      const missing = refused({ DATA_DIR: data, PORT: '0', MODEL_PATH: model });
      expect(missing.text).toMatch(/no tensor model\.layers\.\d+\./);
      expect(existsSync(join(data, 'postgres'))).toBe(false);
    } finally {
      for (const folder of [model, data]) rmSync(folder, { recursive: true });
    }
  });

  it('lists all wrong settings at once and ends with exit code 1', () => {
    const wrong = {
      DATA_DIR: dataDir,
      PORT: '0',
      LOG_LEVEL: 'loud',
      KV_CACHE_BYTES: 'much',
      WORKER_CONCURRENCY: '-1',
    };
    const { code, text } = refused(wrong);
    expect(code).toBe(1);
    expect(text).toMatch(/3 settings are not valid:/);
    for (const name of ['LOG_LEVEL', 'KV_CACHE_BYTES', 'WORKER_CONCURRENCY'])
      expect(text).toContain(`${name}: `);
  });
});
