import { chownSync, mkdirSync, statSync } from 'node:fs';
import { succeeds } from './command.mjs';
import { StopError } from './stop-error.mjs';

/** `nobody`: there on every Debian, and initdb wants a user that /etc/passwd knows. */
const NOBODY = 65534;

/**
 * @typedef {object} PostgresUser
 * @property {number | undefined} uid  undefined: runs as we do
 * @property {readonly string[]} privileges  setpriv's options that make it that user
 * @property {(path: string) => boolean} canRun  whether that user can run a program
 */

/**
 * PostgreSQL refuses to be root, so for root it becomes the owner of its folder. Where that folder lies below one
 * that others cannot enter (root's home), the process keeps one capability: to pass and read, not to write.
 * Makes the folder when there is none.
 * @param {string} directory
 * @returns {PostgresUser}
 */
export function postgresUser(directory) {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const owner = statSync(directory).uid;
  const self = process.getuid?.() ?? 0;
  if (self !== 0) {
    if (owner !== self) {
      throw new StopError(
        `${directory} belongs to another user (uid ${owner}), probably from a start as root. ` +
          'Start as that user or root, or choose another folder: npm start -- --data-dir PATH',
      );
    }
    return { uid: undefined, privileges: [], canRun: () => true };
  }
  const uid = owner === 0 ? NOBODY : owner;
  chownSync(directory, uid, uid);
  const plain = [`--reuid=${uid}`, `--regid=${uid}`, '--clear-groups'];
  const passing = ['--inh-caps=-all,+dac_read_search', '--ambient-caps=-all,+dac_read_search'];
  const reaches = (/** @type {readonly string[]} */ privileges) =>
    succeeds('setpriv', [...privileges, '--', 'ls', directory]);
  const privileges = [plain, [...plain, ...passing]].find(reaches);
  if (!privileges) {
    throw new StopError(
      `PostgreSQL does not run as root, and uid ${uid} cannot reach ${directory}. ` +
        'Choose a folder that others may enter: npm start -- --data-dir PATH',
    );
  }
  return {
    uid,
    privileges,
    // PostgreSQL looks for its own files with access(2), which ignores that capability.
    canRun: (path) => succeeds('setpriv', [...plain, '--', 'test', '-x', path]),
  };
}
