import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ApiClient } from './api-client.mjs';
import { refuseChildren, runningChildren } from './child.mjs';
import { makeDataDir, runningWhere } from './data-dir.mjs';
import { demoModel, registerDemo } from './demo.mjs';
import { tryLock } from './file-lock.mjs';
import { claimPort } from './ports.mjs';
import { complain, say, step } from './print.mjs';
import { untilReady } from './ready.mjs';
import { secretOf } from './secret-file.mjs';
import { Servers, serverEnvironment } from './servers.mjs';
import { checkSettings } from './settings-check.mjs';
import { StopError } from './stop-error.mjs';
import { onStopSignals } from './stop-signals.mjs';
import { printWelcome, servedEngine, unvalidatedVersions } from './welcome.mjs';

/** @typedef {import('./options.mjs').StartOptions} StartOptions */

const STOPPED = Symbol('stopped');

/** One starter for one data folder. @param {string} dataDir */
function claimDataDir(dataDir) {
  makeDataDir(dataDir);
  const lock = tryLock(join(dataDir, '.lock'));
  if (lock) return lock;
  throw new StopError(
    `Lorikeet already runs on ${dataDir}${runningWhere(dataDir)}. Stop it first, or start this one elsewhere: ` +
      'npm start -- --data-dir PATH --port N',
  );
}

/** As a client on this machine reaches it. @param {StartOptions} options */
function urlOf({ host, port }) {
  const open = host === '0.0.0.0' || host === '::';
  const name = open ? '127.0.0.1' : host.includes(':') ? `[${host}]` : host;
  return `http://${name}:${port}`;
}

/**
 * @param {StartOptions} options @param {Servers} servers @param {string} url @param {string} adminKey
 * @param {AbortSignal} signal  somebody gave up
 */
async function boot(options, servers, url, adminKey, signal) {
  if (options.modelPath !== undefined || wantsDevice())
    await step('looking at the model', () => servers.checkModel());
  await step('starting the database, the queue and the engine', () =>
    Promise.all([servers.startDatabase(), servers.startQueue(), servers.startEngines()]),
  );
  await step('bringing the database up to date', () => servers.migrate());
  await step('starting the API and the worker', async () => {
    await Promise.all([servers.startApi(adminKey), servers.startWorker()]);
    await untilReady(url, signal);
  });
  servers.keepRunning();
  return options.demo
    ? step('registering the demo', () => registerDemo(url, adminKey, options.dataDir))
    : undefined;
}

/** Whether a start without that device is refused. */
const wantsDevice = () => (process.env.DEVICE?.trim() ?? '').startsWith('cuda');

/** A URL that signs in to the console once. @param {string} url @param {string} adminKey */
async function signInLink(url, adminKey) {
  const { body } = await new ApiClient(url, adminKey).expect([201], 'POST', '/v1/session/links');
  return url + body.path;
}

/** @param {Servers} servers */
async function stopAll(servers) {
  refuseChildren();
  await servers.stop();
  await Promise.all(runningChildren().map((child) => child.stop()));
}

/**
 * Runs all servers until somebody stops them. Never returns before no child is left.
 * @param {StartOptions} wanted
 * @param {(servers: Servers) => void} [onRunning]  called once all of them run
 * @returns {Promise<number>} the exit code
 */
export async function serve(wanted, onRunning = () => {}) {
  const lock = claimDataDir(wanted.dataDir);
  const options = { ...wanted, port: await claimPort(wanted.host, wanted.port) };
  const url = urlOf(options);
  const adminKey = options.adminKey ?? secretOf(join(options.dataDir, 'admin-key'));
  const env = {
    ...serverEnvironment(options, demoModel()),
    SECRETS_KEY: process.env.SECRETS_KEY?.trim() || secretOf(join(options.dataDir, 'secrets-key')),
  };
  await checkSettings({ ...env, ADMIN_API_KEY: adminKey });
  writeFileSync(join(options.dataDir, 'running'), `process ${process.pid}, ${url}\n`);

  const servers = new Servers(options, env);
  const gaveUp = new AbortController();
  /** @type {Promise<typeof STOPPED>} */
  const stopped = new Promise((resolve) => {
    onStopSignals({
      onStop: () => resolve(STOPPED),
      onForce: () => {
        complain('Stopping at once.');
        refuseChildren();
        for (const child of runningChildren()) child.force();
        process.exit(130);
      },
    });
  });
  try {
    const booted = boot(options, servers, url, adminKey, gaveUp.signal);
    const demo = await Promise.race([booted, servers.firstEnd, stopped]);
    if (demo !== STOPPED) {
      const engine = await servedEngine(url, adminKey);
      const signInUrl = await signInLink(url, adminKey);
      const waiting = await unvalidatedVersions(url, adminKey);
      printWelcome({ url, signInUrl, adminKey, demo, engine, waiting, dataDir: options.dataDir });
      onRunning(servers);
      await stopped;
    }
    say('Stopping …');
  } catch (error) {
    gaveUp.abort();
    await stopAll(servers);
    throw error;
  }
  gaveUp.abort();
  await stopAll(servers);
  lock.release();
  say('Everything has stopped.');
  return 0;
}
