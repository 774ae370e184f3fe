import {
  chownSync,
  existsSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  renameSync,
  rmSync,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Child, describeExit } from './child.mjs';
import { postgresPrograms } from './postgres-programs.mjs';
import { postgresUser } from './postgres-user.mjs';
import { randomSecret, readSecret, secretOf } from './secret-file.mjs';
import { StopError } from './stop-error.mjs';

/** Names the cluster's folder: another major version cannot read its files. */
const MAJOR = '18';
export const SUPERUSER = 'postgres';

/**
 * @typedef {object} Cluster
 * @property {string} data  PGDATA
 * @property {string} programs  the folder that has bin/postgres
 * @property {string} password  of the superuser and of our role
 * @property {readonly string[]} privileges  setpriv's options that make its user
 */

/** Nothing of ours, above all no secret, and no PG* variable that would change what initdb does. */
export function postgresEnvironment() {
  return { PATH: process.env.PATH, LC_ALL: 'C.UTF-8', TZ: 'UTC' };
}

/**
 * The cluster of `directory`, made when there is none, with nothing left of a server that was killed.
 * The caller holds the folder's lock.
 * @param {string} directory
 * @returns {Promise<Cluster>}
 */
export async function prepareCluster(directory) {
  const user = postgresUser(directory);
  const programs = await postgresPrograms(user);
  const data = join(directory, MAJOR);
  const passwordFile = join(directory, 'password');
  const password = secretOf(passwordFile, randomSecret);
  if (user.uid !== undefined) chownSync(passwordFile, user.uid, user.uid);
  const cluster = { data, programs, password, privileges: user.privileges };
  if (existsSync(data)) await clearRemains(data);
  else await initialise(cluster, directory, passwordFile);
  return cluster;
}

/** @param {Cluster} cluster @param {string} directory @param {string} passwordFile */
async function initialise(cluster, directory, passwordFile) {
  const others = readdirSync(directory).filter((name) => /^\d+$/.test(name));
  if (others.length > 0) {
    throw new StopError(
      `${directory} holds the database of PostgreSQL ${others.join(', ')}, and this version brings ${MAJOR}. ` +
        'Move it with pg_dump and pg_restore, or choose another --data-dir.',
    );
  }
  // Renamed when complete: a start that is killed in here leaves no half-made cluster behind.
  const unfinished = join(directory, `${MAJOR}.new`);
  rmSync(unfinished, { recursive: true, force: true, maxRetries: 10 });
  const initdb = new Child({
    name: 'initdb',
    command: join(cluster.programs, 'bin', 'initdb'),
    args: [
      '-D',
      unfinished,
      '-U',
      SUPERUSER,
      '--encoding=UTF8',
      '--locale=C.UTF-8',
      '--auth=scram-sha-256',
      `--pwfile=${passwordFile}`,
    ],
    env: postgresEnvironment(),
    cwd: directory,
    privileges: cluster.privileges,
    deathSignal: 'KILL',
    stopSignal: 'SIGTERM',
    forceSignal: 'SIGKILL',
    grace_ms: 5_000,
    onLine: () => {},
  });
  const exit = await initdb.exited;
  if (exit.code !== 0) {
    throw new StopError(`PostgreSQL's initdb ${describeExit(exit)}:\n${initdb.lastLines(15).join('\n')}`);
  }
  renameSync(unfinished, cluster.data);
}

/** @param {string} data @returns {number | undefined} */
function recordedPid(data) {
  const file = join(data, 'postmaster.pid');
  if (!existsSync(file)) return undefined;
  const pid = Number.parseInt(readFileSync(file, 'utf8'), 10);
  return pid > 0 ? pid : undefined;
}

/** Where the server of this cluster listens. @param {string} directory */
export function runningServer(directory) {
  const file = join(directory, MAJOR, 'postmaster.pid');
  const port = existsSync(file) ? Number(readFileSync(file, 'utf8').split('\n')[3]) : 0;
  const password = readSecret(join(directory, 'password'));
  if (!(port > 0) || password === undefined)
    throw new StopError(`No database server runs in ${directory} yet.`);
  return { port, password };
}

/** The server and its backends: all have the cluster as their working directory. @param {string} data @returns {number[]} */
function processesOf(data) {
  const folder = realpathSync(data);
  return readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .filter((pid) => {
      try {
        return readlinkSync(`/proc/${pid}/cwd`) === folder;
      } catch {
        return false; // another user's, or it has ended
      }
    })
    .map(Number);
}

/** @param {number} pid @param {NodeJS.Signals | 0} signal @returns {boolean} whether there is such a process */
function signalled(pid, signal) {
  try {
    return process.kill(pid, signal);
  } catch (error) {
    return /** @type {NodeJS.ErrnoException} */ (error).code === 'EPERM';
  }
}

/**
 * Nobody else may use this cluster while we hold its lock: what still runs there lost its starter a moment ago and is
 * shutting down, or has to. A new server must not meet the old one's backends.
 * @param {string} data
 */
async function clearRemains(data) {
  const server = recordedPid(data);
  for (const signal of /** @type {const} */ (['SIGINT', 'SIGQUIT', 'SIGKILL'])) {
    const remains = processesOf(data);
    if (remains.length === 0) break;
    for (const pid of signal === 'SIGINT' ? remains.filter((pid) => pid === server) : remains)
      signalled(pid, signal);
    for (let waited_ms = 0; waited_ms < 10_000 && processesOf(data).length > 0; waited_ms += 50)
      await sleep(50);
  }
  // PostgreSQL takes its old file for stale unless a process has that number: here that is somebody else's.
  if (server !== undefined && signalled(server, 0)) rmSync(join(data, 'postmaster.pid'));
}
