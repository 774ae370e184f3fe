import { closeSync, fstatSync, mkdirSync, openSync, renameSync, rmSync, statSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';

/** What one line may take; the rest of a longer one is left out. */
const LONGEST_LINE = 16 * 1024;

/** @typedef {{ maxBytes: number, files: number }} Rotation  size of one file, and how many there are at most */

/** `name.log` becomes `name.log.1` and so on; the oldest goes. @param {string} path @param {number} files */
function moveOn(path, files) {
  rmSync(`${path}.${files - 1}`, { force: true });
  for (let i = files - 2; i >= 1; i--) {
    if (statSync(`${path}.${i}`, { throwIfNoEntry: false })) renameSync(`${path}.${i}`, `${path}.${i + 1}`);
  }
  if (files > 1) renameSync(path, `${path}.1`);
  else rmSync(path, { force: true });
}

/**
 * Opens a log to append to. Before a line that would make it larger than `maxBytes`, it is moved aside, also while its
 * server runs: all files of one log together never take more than `maxBytes` x `files` (and one line).
 * @param {string} path
 * @param {Rotation} rotation
 * @returns {(line: string) => void}
 */
export function openLog(path, { maxBytes, files }) {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  const open = () => openSync(path, 'a', 0o600);
  let file = open();
  let bytes = fstatSync(file).size;
  let broken = false;
  return (line) => {
    const text = `${line.length > LONGEST_LINE ? `${line.slice(0, LONGEST_LINE)}…` : line}\n`;
    const size = Buffer.byteLength(text);
    try {
      if (bytes > 0 && bytes + size > maxBytes) {
        closeSync(file);
        moveOn(path, files);
        file = open();
        bytes = 0;
      }
      // At once, in order: a full disk costs lines, never memory.
      writeSync(file, text);
      bytes += size;
      broken = false;
    } catch (error) {
      if (!broken) process.stderr.write(`cannot write ${path}: ${/** @type {Error} */ (error).message}\n`);
      broken = true;
    }
  };
}
