import { spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { inRepository, repository } from '../lib/paths.mjs';
import { freePort } from '../lib/ports.mjs';

/** What can be hit, and how it is known among the starter's descendants. */
const PROCESSES = /** @type {const} */ ({
  api: /dist\/apps\/api\/src\/main\.js/,
  worker: /dist\/apps\/worker\/src\/main\.js/,
  engine: /dist\/apps\/engine\/src\/main\.js/,
  postgres: /(^|\/)postgres[ :]/,
  redis: /redis-server/,
});
/** @typedef {keyof typeof PROCESSES} Victim */
export const VICTIMS = /** @type {Victim[]} */ (Object.keys(PROCESSES));

/** Every process of this machine, as /proc tells. */
function listProcesses() {
  return readdirSync('/proc').flatMap((entry) => {
    if (!/^\d+$/.test(entry)) return [];
    try {
      const stat = readFileSync(`/proc/${entry}/stat`, 'utf8');
      const parent = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
      const command = readFileSync(`/proc/${entry}/cmdline`, 'utf8').replaceAll('\0', ' ').trim();
      return [{ pid: Number(entry), parent, command }];
    } catch {
      return []; // it ended meanwhile
    }
  });
}

/** The whole product as `npm start` runs it, in a data folder and on a port of its own. */
export class Product {
  #output = '';
  /** @type {import('node:child_process').ChildProcess | undefined} */
  #starter;

  /** @param {{ dataDir: string, port: number, env: NodeJS.ProcessEnv }} options */
  constructor(options) {
    this.options = options;
    this.url = `http://127.0.0.1:${options.port}`;
  }

  /** @param {{ dataDir: string, env?: NodeJS.ProcessEnv }} options */
  static async start({ dataDir, env = {} }) {
    const product = new Product({ dataDir, port: await freePort(), env });
    await product.start();
    return product;
  }

  async start() {
    const { dataDir, port, env } = this.options;
    this.#output = '';
    this.#starter = spawn(process.execPath, [inRepository('scripts', 'start.mjs')], {
      cwd: repository,
      env: { ...process.env, ...env, DATA_DIR: dataDir, PORT: String(port) },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    for (const stream of [this.#starter.stdout, this.#starter.stderr]) {
      stream?.on('data', (chunk) => (this.#output += String(chunk)));
    }
    for (const deadline_ms = Date.now() + 240_000; !this.#output.includes('Ctrl-C'); await sleep(100)) {
      if (this.#starter.exitCode !== null || Date.now() > deadline_ms)
        throw new Error(`the product did not start:\n${this.#output}`);
    }
  }

  get output() {
    return this.#output;
  }

  get adminKey() {
    return readFileSync(join(this.options.dataDir, 'admin-key'), 'utf8').trim();
  }

  /** Of PostgreSQL all processes, its own parent first; else one. @param {Victim} victim */
  pids(victim) {
    const all = listProcesses();
    const found = [];
    for (let parents = new Set([this.#starter?.pid]); parents.size > 0; ) {
      const children = all.filter(({ parent }) => parents.has(parent));
      found.push(...children.filter(({ command }) => PROCESSES[victim].test(command)));
      parents = new Set(children.map(({ pid }) => pid));
    }
    return found.map(({ pid }) => pid);
  }

  /** False when none runs now. @param {Victim} victim */
  kill(victim) {
    const [pid] = this.pids(victim);
    if (pid === undefined) return false;
    return signalTo(pid, 'SIGKILL');
  }

  /** Freezes all its processes, as a network that swallows packets does. @param {Victim} victim @returns thaws them */
  freeze(victim) {
    const pids = this.pids(victim);
    for (const pid of pids) signalTo(pid, 'SIGSTOP');
    return () => {
      for (const pid of pids) signalTo(pid, 'SIGCONT');
    };
  }

  /** An environment variable of the running API. @param {string} name */
  settingOf(name) {
    const [pid] = this.pids('api');
    const variables = readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0');
    return variables.find((line) => line.startsWith(`${name}=`))?.slice(name.length + 1);
  }

  async untilReady(limit_ms = 180_000) {
    for (const deadline_ms = Date.now() + limit_ms; Date.now() < deadline_ms; await sleep(100)) {
      const answer = await fetch(`${this.url}/health/ready`, { signal: AbortSignal.timeout(5_000) }).catch(
        () => undefined,
      );
      if (answer?.status === 200) return;
    }
    throw new Error(`not ready again after ${limit_ms} ms:\n${this.#output}`);
  }

  /** Ctrl-C; its data stays. */
  async stop() {
    const starter = this.#starter;
    if (!starter || starter.exitCode !== null || starter.signalCode !== null) return;
    const ended = new Promise((resolve) => starter.once('exit', resolve));
    starter.kill('SIGINT');
    await ended;
  }
}

/** @param {number} pid @param {NodeJS.Signals} signal */
function signalTo(pid, signal) {
  try {
    return process.kill(pid, signal);
  } catch {
    return false; // it ended meanwhile
  }
}
