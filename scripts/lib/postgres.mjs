import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { Child, describeExit } from './child.mjs';
import { freePort } from './ports.mjs';
import { postgresEnvironment, prepareCluster, runningServer, SUPERUSER } from './postgres-cluster.mjs';
import { StopError } from './stop-error.mjs';

/** The role that owns the database of the same name; no superuser. */
const ROLE = 'lorikeet';
/** Recovery after a crash can take a while; a server that ends is noticed at once. */
const READY_MS = 300_000;

/**
 * @typedef {object} PostgresOptions
 * @property {string} directory  holds the cluster; made when missing
 * @property {number} [port]  a free one when absent
 * @property {(line: string) => void} [onLine]  each line of the server's log
 */

/**
 * Starts the embedded PostgreSQL on 127.0.0.1 and waits until its database can be used.
 * The caller makes sure that nobody else starts one in the same folder (file-lock.mjs).
 * @param {PostgresOptions} options
 * @returns {Promise<{ child: Child, port: number, url: string }>} `url`: the database `lorikeet` as its owner
 */
export async function startPostgres({ directory, port: wanted, onLine = () => {} }) {
  const cluster = await prepareCluster(directory);
  const port = wanted ?? (await freePort());
  const child = new Child({
    name: 'postgres',
    command: join(cluster.programs, 'bin', 'postgres'),
    // TCP with a password rather than a Unix socket: its path could exceed the 107 bytes that the kernel takes.
    args: [
      '-D',
      cluster.data,
      '-c',
      'listen_addresses=127.0.0.1',
      '-c',
      `port=${port}`,
      '-c',
      'unix_socket_directories=',
      // A failed statement is told to its client, who logs it without values; here its message, detail and text would
      // hold what callers sent. What concerns the server itself is LOG and worse.
      '-c',
      'log_min_messages=log',
      '-c',
      'log_min_error_statement=panic',
      '-c',
      'log_error_verbosity=terse',
    ],
    env: postgresEnvironment(),
    cwd: directory,
    privileges: cluster.privileges,
    deathSignal: 'INT',
    stopSignal: 'SIGINT',
    forceSignal: 'SIGQUIT',
    grace_ms: 15_000,
    onLine,
  });
  try {
    await waitUntilReady(child, port, cluster.password);
  } catch (error) {
    await child.stop();
    throw error;
  }
  return { child, port, url: urlOf(cluster.password, port) };
}

/** The database of a server that somebody else has started in this folder. @param {string} directory */
export function runningUrl(directory) {
  const { port, password } = runningServer(directory);
  return urlOf(password, port);
}

/** @param {string} password @param {number} port */
function urlOf(password, port) {
  return `postgresql://${ROLE}:${password}@127.0.0.1:${port}/${ROLE}`;
}

/** @param {Child} child @param {number} port @param {string} password */
async function waitUntilReady(child, port, password) {
  const deadline = Date.now() + READY_MS;
  for (;;) {
    if (!child.running) {
      const { code, signal } = await child.exited;
      throw new StopError(`PostgreSQL ${describeExit({ code, signal })}:\n${child.lastLines(15).join('\n')}`);
    }
    const client = new pg.Client({ host: '127.0.0.1', port, user: SUPERUSER, password, database: SUPERUSER });
    client.on('error', () => {}); // told by the query that it breaks
    try {
      await client.connect();
      await ensureDatabase(client, password);
      return;
    } catch (error) {
      if (!isNotYet(error)) throw error;
      if (Date.now() > deadline) throw new StopError('PostgreSQL did not get ready within 5 minutes.');
    } finally {
      await client.end().catch(() => {});
    }
    await sleep(50);
  }
}

/** Refused while it opens its port; `cannot_connect_now` while it recovers. @param {unknown} error */
function isNotYet(error) {
  const code = /** @type {{ code?: string }} */ (error).code;
  return code === 'ECONNREFUSED' || code === 'ECONNRESET' || code === '57P03';
}

/** @param {pg.Client} client @param {string} password */
async function ensureDatabase(client, password) {
  const role = await client.query('SELECT 1 FROM pg_roles WHERE rolname = $1', [ROLE]);
  if (role.rowCount === 0) {
    await client.query(`CREATE ROLE ${ROLE} LOGIN PASSWORD ${client.escapeLiteral(password)}`);
  }
  const database = await client.query('SELECT 1 FROM pg_database WHERE datname = $1', [ROLE]);
  if (database.rowCount === 0) await client.query(`CREATE DATABASE ${ROLE} OWNER ${ROLE}`);
}
