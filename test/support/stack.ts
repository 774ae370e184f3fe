import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

export const ROOT = resolve(import.meta.dirname, '../..');

/** The whole product as `npm start` runs it: PostgreSQL, queue, engine, worker, API. */
export interface Stack {
  readonly url: string;
  readonly adminKey: string;
  readonly dataDir: string;
  readonly starter: ChildProcess;
  /** What the starter printed so far. */
  output(): string;
  /** Ctrl-C, then waits until the starter has ended; its data is removed unless `keepData`. */
  stop(options?: { keepData?: boolean }): Promise<void>;
}

export interface StackOptions {
  /** Settings on top of the test's own; `MODEL_PATH` absent starts the demo. */
  readonly env?: Readonly<Record<string, string>>;
  /** Reuses a stopped stack's data. */
  readonly dataDir?: string;
  readonly timeout_ms?: number;
  /** Of the API; by default any that is free. */
  readonly port?: number;
}

/** A TCP port that was free a moment ago. */
export function freePort(): Promise<number> {
  return new Promise((done, fail) => {
    const server = createServer();
    server.once('error', fail);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() =>
        address && typeof address === 'object' ? done(address.port) : fail(new Error('no port')),
      );
    });
  });
}

async function untilReady(
  url: string,
  starter: ChildProcess,
  output: () => string,
  timeout_ms: number,
): Promise<void> {
  const deadline = Date.now() + timeout_ms;
  while (Date.now() < deadline) {
    if (starter.exitCode !== null)
      throw new Error(`the starter ended with ${starter.exitCode}:\n${output()}`);
    const answer = await fetch(`${url}/health/ready`).catch(() => undefined);
    // The starter prints its last line once the demo is registered; "Ctrl-C" stands in it.
    if (answer?.status === 200 && output().includes('Ctrl-C')) return;
    await sleep(100);
  }
  throw new Error(`not ready after ${timeout_ms} ms:\n${output()}`);
}

export async function startStack(options: StackOptions = {}): Promise<Stack> {
  const dataDir = options.dataDir ?? (await mkdtemp(join(tmpdir(), 'lorikeet test ')));
  const port = options.port ?? (await freePort());
  const url = `http://127.0.0.1:${port}`;
  let printed = '';
  const starter = spawn(process.execPath, [join(ROOT, 'scripts/start.mjs')], {
    cwd: ROOT,
    env: { ...process.env, PORT: String(port), DATA_DIR: dataDir, ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const collect = (chunk: Buffer): void => {
    printed += chunk.toString();
  };
  starter.stdout.on('data', collect);
  starter.stderr.on('data', collect);
  const output = (): string => printed;
  const ended = new Promise<void>((done) => starter.once('exit', () => done()));
  const stop: Stack['stop'] = async ({ keepData = false } = {}) => {
    if (starter.exitCode === null && starter.signalCode === null) starter.kill('SIGINT');
    await ended;
    if (!keepData) await rm(dataDir, { recursive: true, force: true });
  };
  try {
    await untilReady(url, starter, output, options.timeout_ms ?? 240_000);
    const adminKey = (await readFile(join(dataDir, 'admin-key'), 'utf8')).trim();
    return { url, adminKey, dataDir, starter, output, stop };
  } catch (error) {
    await stop({ keepData: options.dataDir !== undefined });
    throw error;
  }
}
