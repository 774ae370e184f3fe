import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

/** How many of a child's last lines are kept for the message that tells of its end. */
const KEPT_LINES = 40;

/**
 * @typedef {object} ChildSpec
 * @property {string} name
 * @property {string} command
 * @property {readonly string[]} args  never a secret: every user of the machine can read them
 * @property {NodeJS.ProcessEnv} env
 * @property {string} cwd
 * @property {'INT' | 'KILL'} deathSignal  what the kernel sends it when this process dies
 * @property {NodeJS.Signals} stopSignal  asks it to end in order
 * @property {NodeJS.Signals} forceSignal  ends it at once, as harmlessly as it can
 * @property {number} grace_ms  from stopSignal to forceSignal
 * @property {readonly string[]} [privileges]  further options of setpriv, e.g. another user
 * @property {string} [input]  what it reads on standard input
 * @property {(line: string) => void} onLine  each line of its standard output and error
 */

/**
 * @typedef {object} ChildExit
 * @property {number | null} code
 * @property {NodeJS.Signals | null} signal
 */

/** Every child that runs now. @type {Set<Child>} */
const running = new Set();
let closed = false;

/** From now on no child can be started: whoever is still starting one while all is stopped gets an error. */
export function refuseChildren() {
  closed = true;
}

/** Those that `refuseChildren` found running, in no order that matters. @returns {readonly Child[]} */
export function runningChildren() {
  return [...running];
}

/**
 * A running program that cannot outlive this process: the kernel signals it when we die (`setpriv --pdeathsig`), even
 * by kill -9. Linux ties that signal to the spawning thread, so children are started from the main thread only.
 */
export class Child {
  /** @type {string[]} */
  #lines = [];
  /** @type {Promise<ChildExit> | undefined} */
  #stopping;
  /** @type {ChildSpec} */
  #spec;
  #process;

  /** @param {ChildSpec} spec */
  constructor(spec) {
    if (closed) throw new Error(`${spec.name} is not started: everything is being stopped`);
    this.#spec = spec;
    this.#process = spawn(
      'setpriv',
      [...(spec.privileges ?? []), '--pdeathsig', spec.deathSignal, '--', spec.command, ...spec.args],
      // A session of its own: Ctrl-C in the terminal reaches only us, and we stop the children in order.
      { cwd: spec.cwd, env: spec.env, stdio: ['pipe', 'pipe', 'pipe'], detached: true },
    );
    this.#process.stdin.on('error', () => {}); // it may end before it has read its input
    this.#process.stdin.end(spec.input ?? '');
    for (const stream of [this.#process.stdout, this.#process.stderr]) {
      createInterface({ input: stream }).on('line', (line) => this.#take(line));
    }
    /** Resolves when it has ended and all its output is read. @type {Promise<ChildExit>} */
    this.exited = new Promise((resolve) => {
      const end = (/** @type {ChildExit} */ exit) => {
        this.running = false;
        running.delete(this);
        resolve(exit);
      };
      this.#process.once('error', (error) => {
        this.#take(error.message);
        end({ code: 127, signal: null });
      });
      this.#process.once('close', (code, signal) => end({ code, signal }));
    });
    this.running = true;
    running.add(this);
  }

  get name() {
    return this.#spec.name;
  }

  get pid() {
    return this.#process.pid;
  }

  /** What it said last, newest at the end. @param {number} count */
  lastLines(count) {
    return this.#lines.slice(-count);
  }

  /** Asks it to end, forces it after its grace; safe to call twice. @returns {Promise<ChildExit>} */
  stop() {
    this.#stopping ??= this.#stopOnce();
    return this.#stopping;
  }

  /** Ends it without asking. */
  force() {
    if (this.running) this.#process.kill(this.#spec.forceSignal);
  }

  async #stopOnce() {
    if (!this.running) return this.exited;
    this.#process.kill(this.#spec.stopSignal);
    const force = setTimeout(() => this.force(), this.#spec.grace_ms);
    const kill = setTimeout(() => this.#process.kill('SIGKILL'), this.#spec.grace_ms + 5_000);
    try {
      return await this.exited;
    } finally {
      clearTimeout(force);
      clearTimeout(kill);
    }
  }

  /** @param {string} line */
  #take(line) {
    this.#lines.push(line);
    if (this.#lines.length > KEPT_LINES) this.#lines.shift();
    this.#spec.onLine(line);
  }
}

/** @param {ChildExit} exit */
export function describeExit({ code, signal }) {
  return signal ? `was ended by ${signal}` : `ended with exit code ${code}`;
}
