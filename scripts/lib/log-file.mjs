import { createWriteStream, mkdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { dirname } from 'node:path';

const LARGEST_BYTES = 16 * 2 ** 20;
const KEPT = 3;

/** Moves `name.log` to `name.log.1` and so on when it has grown large; the oldest goes. @param {string} path */
function rotate(path) {
  const bytes = statSync(path, { throwIfNoEntry: false })?.size ?? 0;
  if (bytes < LARGEST_BYTES) return;
  rmSync(`${path}.${KEPT}`, { force: true });
  for (let i = KEPT - 1; i >= 1; i--) {
    if (statSync(`${path}.${i}`, { throwIfNoEntry: false })) renameSync(`${path}.${i}`, `${path}.${i + 1}`);
  }
  renameSync(path, `${path}.1`);
}

/**
 * Opens a log to append to, rotated by its size now.
 * @param {string} path
 * @returns {(line: string) => void}
 */
export function openLog(path) {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  rotate(path);
  const stream = createWriteStream(path, { flags: 'a', mode: 0o600 });
  stream.on('error', (error) => process.stderr.write(`cannot write ${path}: ${error.message}\n`));
  return (line) => void stream.write(`${line}\n`);
}
