import { spawnSync } from 'node:child_process';
import { closeSync, mkdirSync, openSync } from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/**
 * Takes an exclusive lock on `path`, or says that another process holds it. The kernel frees it when this process
 * ends, however it ends: flock(2) belongs to the open file, which the helper command only locks for us.
 * @param {string} path
 * @returns {{ release: () => void } | undefined}
 */
export function tryLock(path) {
  mkdirSync(dirname(path), { recursive: true });
  const file = openSync(path, 'a', 0o600);
  const { status, error } = spawnSync('flock', ['--nonblock', '3'], {
    stdio: ['ignore', 'ignore', 'ignore', file],
  });
  if (status === 0) return { release: () => closeSync(file) };
  closeSync(file);
  if (error) throw new Error(`cannot run flock (package util-linux): ${error.message}`);
  return undefined;
}

/**
 * Waits for the lock; `onWait` is called once when it is not free at first.
 * @param {string} path
 * @param {() => void} onWait
 * @returns {Promise<{ release: () => void }>}
 */
export async function waitForLock(path, onWait) {
  for (let attempt = 0; ; attempt++) {
    const lock = tryLock(path);
    if (lock) return lock;
    if (attempt === 0) onWait();
    await sleep(250);
  }
}
