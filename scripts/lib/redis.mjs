import { spawnSync } from 'node:child_process';
import { mkdirSync, rmSync, symlinkSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Child, describeExit } from './child.mjs';
import { findExecutable } from './command.mjs';
import { freePort } from './ports.mjs';
import { secretOf } from './secret-file.mjs';
import { StopError } from './stop-error.mjs';

const READY_MS = 120_000;
const OLDEST = /** @type {const} */ ([6, 2]);

/**
 * @param {string} text  what `redis-server --version` prints
 * @returns {boolean}
 */
export function isRecentRedis(text) {
  const match = /v=(\d+)\.(\d+)/.exec(text);
  if (!match) return false;
  const [major, minor] = [Number(match[1]), Number(match[2])];
  return major > OLDEST[0] || (major === OLDEST[0] && minor >= OLDEST[1]);
}

/**
 * A Redis server that is recent enough. Debian's package redis-server would also start a service of its own; its
 * program is the same file as redis-check-rdb of redis-tools, which becomes the server by the name it is called.
 * @param {string} directory  where a link of that name may be made
 * @returns {string | undefined}
 */
export function findRedis(directory) {
  const recent = (/** @type {string} */ path) =>
    isRecentRedis(spawnSync(path, ['--version'], { encoding: 'utf8' }).stdout ?? '');
  const server = findExecutable('redis-server');
  if (server) return recent(server) ? server : undefined;
  const tools = findExecutable('redis-check-rdb');
  if (!tools) return undefined;
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const link = join(directory, 'redis-server');
  rmSync(link, { force: true });
  symlinkSync(tools, link);
  return recent(link) ? link : undefined;
}

/** A value of redis.conf. @param {string} text */
const quoted = (text) => `"${text.replace(/["\\]/g, '\\$&')}"`;

/**
 * Starts a Redis of our own on 127.0.0.1, whose data survive a crash (append-only file), and waits until it answers.
 * @param {{ directory: string, port?: number, onLine?: (line: string) => void }} options
 * @returns {Promise<{ child: Child, port: number, url: string }>}
 */
export async function startRedis({ directory, port: wanted, onLine = () => {} }) {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const program = findRedis(directory);
  if (!program) throw new StopError('There is no redis-server of version 6.2 or later on PATH.');
  const password = secretOf(join(directory, 'password'));
  const port = wanted ?? (await freePort());
  const child = new Child({
    name: 'redis',
    command: program,
    args: ['-'], // the settings come on standard input, where no other user can read the password
    input: [
      'bind 127.0.0.1',
      `port ${port}`,
      `requirepass ${quoted(password)}`,
      `dir ${quoted(directory)}`,
      'appendonly yes',
      'appendfsync everysec',
      'save ""',
      'maxmemory-policy noeviction', // the queue's demand: an evicted key is a lost job
      'daemonize no',
      '',
    ].join('\n'),
    env: { PATH: process.env.PATH, LC_ALL: 'C.UTF-8' },
    cwd: directory,
    deathSignal: 'KILL', // what it has acknowledged is with the kernel already; a slow end would meet the next start
    stopSignal: 'SIGTERM',
    forceSignal: 'SIGKILL',
    grace_ms: 10_000,
    onLine,
  });
  try {
    await waitUntilReady(child, port, password);
  } catch (error) {
    await child.stop();
    throw error;
  }
  return { child, port, url: `redis://:${password}@127.0.0.1:${port}` };
}

/** @param {Child} child @param {number} port @param {string} password */
async function waitUntilReady(child, port, password) {
  const deadline = Date.now() + READY_MS;
  while (!(await answersPing(port, password))) {
    if (!child.running) {
      throw new StopError(`Redis ${describeExit(await child.exited)}:\n${child.lastLines(10).join('\n')}`);
    }
    if (Date.now() > deadline) throw new StopError('Redis did not get ready within 2 minutes.');
    await sleep(50);
  }
}

/** @param {number} port @param {string} password @returns {Promise<boolean>} false also while it loads its data */
function answersPing(port, password) {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port, timeout: 2_000 });
    let answer = '';
    const end = (/** @type {boolean} */ ready) => {
      socket.destroy();
      resolve(ready);
    };
    socket.on('connect', () => socket.write(`AUTH ${password}\r\nPING\r\n`));
    socket.on('data', (chunk) => {
      answer += chunk.toString();
      if (answer.includes('+PONG')) end(true);
      else if (answer.includes('\n-') || answer.startsWith('-')) end(false);
    });
    socket.on('error', () => end(false));
    socket.on('timeout', () => end(false));
    socket.on('close', () => resolve(false));
  });
}
