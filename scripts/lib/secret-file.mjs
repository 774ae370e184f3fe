import { randomBytes } from 'node:crypto';
import { chmodSync, readFileSync, renameSync, writeFileSync } from 'node:fs';

/** 256 random bits as text that needs no quoting in a shell or a URL. */
export function randomSecret() {
  return randomBytes(32).toString('base64url');
}

/**
 * @param {string} path
 * @returns {string | undefined} undefined when there is none
 */
export function readSecret(path) {
  try {
    return readFileSync(path, 'utf8').trim() || undefined;
  } catch (error) {
    if (/** @type {NodeJS.ErrnoException} */ (error).code === 'ENOENT') return undefined;
    throw error;
  }
}

/**
 * Stores a secret that only its owner can read; the file is never there half-written.
 * @param {string} path
 * @param {string} secret
 */
export function writeSecret(path, secret) {
  const unfinished = `${path}.${process.pid}.new`;
  writeFileSync(unfinished, `${secret}\n`, { mode: 0o600 });
  chmodSync(unfinished, 0o600);
  renameSync(unfinished, path);
}

/**
 * The secret of `path`, made on the first call.
 * @param {string} path
 * @param {() => string} [make]
 */
export function secretOf(path, make = randomSecret) {
  const known = readSecret(path);
  if (known !== undefined) return known;
  const secret = make();
  writeSecret(path, secret);
  return secret;
}
