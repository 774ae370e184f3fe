import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Child } from '../../scripts/lib/child.mjs';
import { tryLock } from '../../scripts/lib/file-lock.mjs';
import { secretOf } from '../../scripts/lib/secret-file.mjs';
import { Service } from '../../scripts/lib/service.mjs';
import { ROOT } from '../support/stack.js';

const lib = (name: string) => JSON.stringify(join(ROOT, 'scripts/lib', name));
const shell = (script: string, more: object = {}) =>
  new Child({
    name: 'shell',
    command: 'sh',
    args: ['-c', script],
    env: process.env,
    cwd: '/',
    deathSignal: 'KILL',
    stopSignal: 'SIGTERM',
    forceSignal: 'SIGKILL',
    grace_ms: 200,
    onLine: () => {},
    ...more,
  });

/** Runs an ES module's text in a Node process of its own and gives what it prints first. */
async function inNode(source: string): Promise<{ starter: ChildProcess; printed: string }> {
  const starter = spawn(process.execPath, ['--input-type=module', '-e', source], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const printed = await new Promise<string>((resolve) => {
    starter.stdout?.once('data', (chunk: Buffer) => resolve(chunk.toString().trim()));
  });
  return { starter, printed };
}

/** Ended, though perhaps not yet reaped by whoever inherited it. */
function hasEnded(pid: number): boolean {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  return stat.slice(stat.lastIndexOf(')') + 2).startsWith('Z');
}

async function gone(pid: number): Promise<boolean> {
  for (let i = 0; i < 600; i++) {
    if (!existsSync(`/proc/${pid}`) || hasEnded(pid)) return true;
    await sleep(25);
  }
  return false;
}

describe('a child process', () => {
  it('dies with its starter even when that is killed with -9', async () => {
    const { starter, printed } = await inNode(`
      import { Child } from ${lib('child.mjs')};
      const child = new Child({ name: 'sleep', command: 'sh', args: ['-c', 'echo runs; exec sleep 300'],
        env: process.env, cwd: '/', deathSignal: 'KILL', stopSignal: 'SIGTERM', forceSignal: 'SIGKILL',
        grace_ms: 100, onLine: () => console.log(child.pid) });`);
    starter.kill('SIGKILL');
    expect(await gone(Number(printed))).toBe(true);
  });

  it('tells each line and how it ended', async () => {
    const lines: string[] = [];
    const child = shell('read word; echo "got $word"; echo trouble >&2; exit 3', {
      input: 'secret\n',
      onLine: (line: string) => lines.push(line),
    });
    expect(await child.exited).toEqual({ code: 3, signal: null });
    expect(lines.toSorted()).toEqual(['got secret', 'trouble']);
    expect(child.running).toBe(false);
  });

  it('is forced when it does not end in its grace', async () => {
    const child = shell("trap '' TERM; echo ready; while :; do sleep 0.05; done");
    while (child.lastLines(1)[0] !== 'ready') await sleep(10);
    expect(await child.stop()).toEqual({ code: null, signal: 'SIGKILL' });
  });

  it('that cannot be found ends with a reason', async () => {
    const child = shell('', { command: '/nowhere/at/all', args: [] });
    expect((await child.exited).code).toBe(127);
    expect(child.lastLines(1)[0]).toContain('/nowhere/at/all');
  });
});

describe('a service', () => {
  it('is started again when its process is killed, and not after it was stopped', async () => {
    const started: Child[] = [];
    const service = new Service('test', async () => {
      const child = shell('exec sleep 300');
      started.push(child);
      return child;
    });
    await service.start();
    service.keepRunning();
    process.kill(started[0]?.pid as number, 'SIGKILL');
    while (started.length < 2) await sleep(20);
    await service.stop();
    expect(started[1]?.running).toBe(false);
    expect(started).toHaveLength(2);
  });
});

describe('files of the starter', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'lorikeet files '));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  it('locks out a second process until the first has ended, by kill -9 too', async () => {
    const path = join(folder, 'lock');
    const { starter } = await inNode(`
      import { tryLock } from ${lib('file-lock.mjs')};
      console.log(tryLock(${JSON.stringify(path)}) !== undefined);
      setInterval(() => {}, 1000);`);
    expect(tryLock(path)).toBeUndefined();
    starter.kill('SIGKILL');
    await new Promise((resolve) => starter.once('exit', resolve));
    const lock = tryLock(path);
    expect(lock).toBeDefined();
    lock?.release();
  });

  it('makes a secret once and keeps it to its owner', async () => {
    const path = join(folder, 'key');
    const secret = secretOf(path);
    expect(secret).toHaveLength(43);
    expect(secretOf(path)).toBe(secret);
    expect(statSync(path).mode & 0o777).toBe(0o600);
  });
});
