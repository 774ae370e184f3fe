import { readFileSync } from 'node:fs';
import { inRepository, repository } from './paths.mjs';
import { lastLines, run } from './command.mjs';
import { step } from './print.mjs';
import { StopError } from './stop-error.mjs';

/**
 * @typedef {object} LockedPackage
 * @property {string} [version]
 * @property {string} [integrity]
 * @property {boolean} [optional]
 * @property {boolean} [devOptional]
 * @property {readonly string[]} [os]
 * @property {readonly string[]} [cpu]
 * @property {readonly string[]} [libc]
 */
/** @typedef {{ packages?: Readonly<Record<string, LockedPackage>> }} LockFile */

/** @param {readonly string[] | undefined} list @param {string} value  `!x` in the list excludes x */
function admits(list, value) {
  if (list === undefined || list.length === 0 || list.includes('any')) return true;
  if (list.includes(`!${value}`)) return false;
  return list.includes(value) || list.every((entry) => entry.startsWith('!'));
}

/**
 * Whether node_modules holds what the lock file names: npm writes `installed` last, so an interrupted or older
 * installation differs. An optional package for another machine need not be there.
 * @param {LockFile} locked  package-lock.json
 * @param {LockFile} installed  node_modules/.package-lock.json
 * @param {{ os: string, cpu: string, libc: string }} machine
 */
export function isInstalled(locked, installed, machine) {
  return Object.entries(locked.packages ?? {}).every(([path, wanted]) => {
    if (path === '') return true;
    const found = installed.packages?.[path];
    if (found) return found.version === wanted.version && found.integrity === wanted.integrity;
    if (wanted.optional !== true && wanted.devOptional !== true) return false;
    // One without limits is needed only by an optional package of another machine.
    const limited = (wanted.os ?? wanted.cpu) !== undefined;
    const fits =
      admits(wanted.os, machine.os) && admits(wanted.cpu, machine.cpu) && admits(wanted.libc, machine.libc);
    return !(limited && fits);
  });
}

/** @param {string} path @returns {LockFile | undefined} */
function readLock(path) {
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch {
    return undefined;
  }
}

/** `npm ci`, unless node_modules is what package-lock.json says. */
export async function ensurePackages() {
  const locked = readLock(inRepository('package-lock.json'));
  if (!locked) throw new StopError('package-lock.json cannot be read. Is this a complete clone?');
  const installed = readLock(inRepository('node_modules', '.package-lock.json'));
  const machine = { os: process.platform, cpu: process.arch, libc: 'glibc' };
  if (installed && isInstalled(locked, installed, machine)) return;
  await step('installing npm packages (npm ci)', installPackages);
}

async function installPackages() {
  // --include=dev: with NODE_ENV=production npm would leave out the compiler. --loglevel=error: three packages warn
  // about Node 20 although they run on it.
  const args = ['ci', '--include=dev', '--include=optional', '--no-audit', '--no-fund', '--loglevel=error'];
  const npm = process.env.npm_execpath;
  const { code, output } = await (npm?.endsWith('.js')
    ? run(process.execPath, [npm, ...args], { cwd: repository })
    : run('npm', args, { cwd: repository }));
  if (code !== 0) throw new StopError(`npm ci failed:\n${lastLines(output, 30)}`);
}
