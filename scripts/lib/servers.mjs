import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Child, describeExit } from './child.mjs';
import { usableDevices } from './devices.mjs';
import { openLog } from './log-file.mjs';
import { readable, terminalText } from './log-line.mjs';
import { inRepository, repository } from './paths.mjs';
import { startPostgres } from './postgres.mjs';
import { freePort } from './ports.mjs';
import { say, warn } from './print.mjs';
import { reasonOf } from './ready.mjs';
import { findRedis, startRedis } from './redis.mjs';
import { randomSecret } from './secret-file.mjs';
import { Service } from './service.mjs';
import { StopError } from './stop-error.mjs';

/** What the servers take to end in order, once nothing runs in them any more. */
const SERVER_GRACE_MS = 12_000;

/** @param {import('./options.mjs').StartOptions} options @param {string} name  every line to its log, the important ones to the terminal */
function lineSink({ dataDir, logs }, name) {
  const write = openLog(join(dataDir, 'logs', `${name}.log`), logs);
  return (/** @type {string} */ line) => {
    write(line);
    const text = terminalText(line);
    if (text !== undefined) warn(`[${name}] ${text}`);
  };
}

/**
 * What all servers get: ours where we decide, the operator's for all else.
 * @param {import('./options.mjs').StartOptions} options
 * @param {{ path: string, name: string }} demoModel
 * @returns {NodeJS.ProcessEnv}
 */
export function serverEnvironment({ host, port, dataDir, modelPath }, demoModel) {
  const named = modelPath !== undefined || process.env.MODEL_NAME?.trim();
  return {
    ...process.env,
    HOST: host,
    PORT: String(port),
    DATA_DIR: dataDir,
    STORAGE_URL: process.env.STORAGE_URL?.trim() || pathToFileURL(join(dataDir, 'artifacts')).href,
    MODEL_PATH: modelPath ?? demoModel.path,
    MERGE_BASE_PATH: process.env.MERGE_BASE_PATH?.trim() || (modelPath ?? demoModel.path),
    ...(named ? {} : { MODEL_NAME: demoModel.name }),
    ENGINE_TOKEN: process.env.ENGINE_TOKEN?.trim() || randomSecret(),
    // No load balancer stands before these, and whoever presses Ctrl-C waits for them.
    SHUTDOWN_DELAY: process.env.SHUTDOWN_DELAY?.trim() || '0',
    SHUTDOWN_TIMEOUT: process.env.SHUTDOWN_TIMEOUT?.trim() || '5',
  };
}

/** @returns {{ promise: Promise<never>, reject: (error: Error) => void }} */
function rejectable() {
  /** @type {(error: Error) => void} */
  let reject = () => {};
  const promise = new Promise((_, no) => {
    reject = no;
  });
  promise.catch(() => {}); // nobody may be waiting for it any more
  return { promise: /** @type {Promise<never>} */ (promise), reject };
}

/** The servers of one data folder: what `npm start` keeps running. */
export class Servers {
  /** @type {Map<string, Service>} */
  #services = new Map();
  /** @type {import('./options.mjs').StartOptions} */
  #options;
  /** @type {NodeJS.ProcessEnv} */
  #env;
  #firstEnd = rejectable();

  /**
   * @param {import('./options.mjs').StartOptions} options
   * @param {NodeJS.ProcessEnv} env  what all servers get (serverEnvironment)
   */
  constructor(options, env) {
    this.#options = options;
    this.#env = env;
  }

  /** Those that run now or have just ended by themselves. */
  get children() {
    return [...this.#services.values()].flatMap(({ child }) => child ?? []);
  }

  /** Refuses a model that the engine could not serve, as far as that shows without reading its weights. */
  async checkModel() {
    const { modelPath } = this.#options;
    const onLine = modelPath?.startsWith('hf://') ? say : () => {};
    const child = new Child({
      ...this.#program('check-model', join('engine', 'src', 'check-model.js'), this.#env),
      onLine,
    });
    const exit = await child.exited;
    if (exit.code !== 0) {
      const what = modelPath === undefined ? 'The demo model' : 'MODEL_PATH';
      throw new StopError(`${what} cannot be served:\n  ${readable(child.lastLines(20))}`);
    }
  }

  /** Rejects as soon as one of them ends by itself; until `keepRunning`. @returns {Promise<never>} */
  get firstEnd() {
    return this.#firstEnd.promise;
  }

  /** Starts a running server again, with its new code; of several engines all. @param {string} name */
  async restart(name) {
    await Promise.all(this.#servicesOf(name).map((service) => service.restart()));
  }

  /** Of a kind of server: engines may be several. @param {string} name */
  #servicesOf(name) {
    return [...this.#services.values()].filter(
      (service) => service.name === name || (name === 'engine' && service.name.startsWith('engine-')),
    );
  }

  /** From now on, what ends by itself is started again. */
  keepRunning() {
    for (const service of this.#services.values()) service.keepRunning();
  }

  /** DATABASE_URL for the rest. */
  async startDatabase() {
    if (this.#options.databaseUrl !== undefined) return;
    const directory = join(this.#options.dataDir, 'postgres');
    const port = await freePort();
    const onLine = lineSink(this.#options, 'postgres');
    await this.#start('postgres', async () => {
      const { child, url } = await startPostgres({ directory, port, onLine });
      this.#env.DATABASE_URL = url;
      return child;
    });
  }

  /** REDIS_URL for the rest, where there is a Redis. */
  async startQueue() {
    if (this.#options.redisUrl !== undefined) return;
    const directory = join(this.#options.dataDir, 'redis');
    if (findRedis(directory) === undefined) {
      warn('No redis-server >= 6.2 found: the job queue lies in PostgreSQL.');
      return;
    }
    const port = await freePort();
    const onLine = lineSink(this.#options, 'redis');
    await this.#start('redis', async () => {
      const { child, url } = await startRedis({ directory, port, onLine });
      this.#env.REDIS_URL = url;
      return child;
    });
  }

  /** ENGINE_URLS for the rest, unless the operator runs engines of his own. */
  async startEngines() {
    if (process.env.ENGINE_URLS?.trim()) return;
    const engines = this.#options.allDevices
      ? await this.#engineOfEachDevice()
      : [{ name: 'engine', own: {} }];
    const wanted = Number(process.env.ENGINE_PORT?.trim() || 0);
    const ports = await Promise.all(
      engines.map(async (_, at) => String(wanted > 0 ? wanted + at : await freePort())),
    );
    this.#env.ENGINE_URLS = ports.map((port) => `http://127.0.0.1:${port}`).join(',');
    await Promise.all(
      engines.map(({ name, own }, at) => this.#startEngine(name, { ...own, ENGINE_PORT: ports[at] })),
    );
  }

  /** @returns {Promise<{ name: string, own: NodeJS.ProcessEnv }[]>} */
  async #engineOfEachDevice() {
    const devices = await usableDevices(process.env, (visible) => this.#seenDevices(visible), warn);
    const name = process.env.ENGINE_NAME?.trim() || 'cuda';
    return devices.map(({ visible, device }, at) => {
      say(`engine-${at} takes ${device} (${visible})`);
      const own = { DEVICE: 'cuda', CUDA_VISIBLE_DEVICES: visible, ENGINE_NAME: `${name}-${at}` };
      return { name: `engine-${at}`, own };
    });
  }

  /** @param {string | undefined} visible */
  async #seenDevices(visible) {
    const env = { ...this.#env, ...(visible === undefined ? {} : { CUDA_VISIBLE_DEVICES: visible }) };
    let seen = '';
    const child = new Child({
      ...this.#program('list-devices', join('engine', 'src', 'list-devices.js'), env),
      onLine: (line) => {
        if (line.startsWith('[')) seen = line;
      },
    });
    const exit = await child.exited;
    if (exit.code === 0) return JSON.parse(seen);
    const reason = readable(child.lastLines(20));
    if (visible === undefined) throw new StopError(`DEVICES=all: ${reason}`);
    return [{ reason }];
  }

  /** @param {string} name @param {NodeJS.ProcessEnv} own */
  async #startEngine(name, own) {
    // It knows no tenants, so it gets no way to them.
    const {
      DATABASE_URL: _database,
      REDIS_URL: _redis,
      ADMIN_API_KEY: _admin,
      SECRETS_KEY: _secrets,
      ...env
    } = this.#env;
    await this.#startServer(name, { ...env, ...own, ENGINE_HOST: '127.0.0.1' }, 'engine');
  }

  /** Brings the database to this version. */
  async migrate() {
    const onLine = lineSink(this.#options, 'migrate');
    const child = new Child({
      ...this.#program('migrate', join('api', 'src', 'migrate.js'), this.#env),
      onLine,
    });
    const exit = await child.exited;
    if (exit.code !== 0) {
      throw new StopError(`The migration ${describeExit(exit)}:\n${readable(child.lastLines(20))}`);
    }
  }

  /** Its port has no user but the operator's monitoring, which names one then. */
  startWorker() {
    return this.#startServer('worker', { ...this.#env, WORKER_PORT: process.env.WORKER_PORT?.trim() || '0' });
  }

  /** @param {string} adminKey */
  startApi(adminKey) {
    return this.#startServer('api', { ...this.#env, ADMIN_API_KEY: adminKey });
  }

  /** In the order in which none misses another while it ends. */
  async stop() {
    for (const name of ['api', 'worker', 'engine', 'redis', 'postgres'])
      await Promise.all(this.#servicesOf(name).map((service) => service.stop()));
  }

  /** @param {string} name @param {NodeJS.ProcessEnv} env @param {string} [app] */
  async #startServer(name, env, app = name) {
    const onLine = lineSink(this.#options, name);
    const script = join(app, 'src', 'main.js');
    await this.#start(name, async () => new Child({ ...this.#program(name, script, env), onLine }));
  }

  /** @param {string} name @param {string} script  below dist/apps @param {NodeJS.ProcessEnv} env */
  #program(name, script, env) {
    return {
      name,
      command: process.execPath,
      args: ['--enable-source-maps', inRepository('dist', 'apps', script)],
      env,
      cwd: repository,
      // The database goes with us, so there is nothing that it could still put in order.
      deathSignal: /** @type {const} */ ('KILL'),
      stopSignal: /** @type {const} */ ('SIGTERM'),
      forceSignal: /** @type {const} */ ('SIGKILL'),
      grace_ms: SERVER_GRACE_MS + 1000 * (Number(env.SHUTDOWN_DELAY) + Number(env.SHUTDOWN_TIMEOUT)),
    };
  }

  /** @param {string} name @param {() => Promise<Child>} launch */
  async #start(name, launch) {
    const service = new Service(name, launch);
    this.#services.set(name, service);
    const child = await service.start();
    void child.exited.then(async () => this.#firstEnd.reject(await reasonOf(this.children)));
  }
}
