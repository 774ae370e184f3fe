import { describeExit } from './child.mjs';
import { readable } from './log-line.mjs';
import { complain, say } from './print.mjs';
import { failuresAfter, restartDelay_ms } from './restart-policy.mjs';

/** @typedef {import('./child.mjs').Child} Child */

/** Lines of a child's log that are shown when it ends unexpectedly. */
const SHOWN_LINES = 12;

/** One child that is kept running: started again with growing pauses when it ends, until `stop`. */
export class Service {
  /** @type {Child | undefined} */
  #child;
  #stopping = false;
  /** The child's next end was asked for. */
  #wanted = false;
  #failures = 0;
  #startedAt_ms = 0;
  /** @type {AbortController} */
  #pause = new AbortController();
  /** @type {Promise<void>} */
  #watch = Promise.resolve();
  /** @type {() => Promise<Child>} */
  #launch;

  /**
   * @param {string} name
   * @param {() => Promise<Child>} launch  starts it once; rejects when it cannot
   */
  constructor(name, launch) {
    this.name = name;
    this.#launch = launch;
  }

  get child() {
    return this.#child;
  }

  /** The first start: a failure is the caller's. */
  async start() {
    this.#startedAt_ms = Date.now();
    this.#child = await this.#launch();
    return this.#child;
  }

  /** From now on its end is no reason to give up: it is started again. */
  keepRunning() {
    this.#watch = this.#keepRunning();
  }

  /** Ends the child in order; it is started again at once (after `keepRunning`). */
  async restart() {
    this.#wanted = true;
    await this.#child?.stop();
  }

  async stop() {
    this.#stopping = true;
    this.#pause.abort();
    await this.#child?.stop();
    await this.#watch;
  }

  async #keepRunning() {
    while (!this.#stopping && this.#child) {
      const exit = await this.#child.exited;
      if (this.#stopping) return;
      if (this.#wanted) {
        this.#wanted = false;
        this.#failures = 0;
        await this.#startAgain();
        continue;
      }
      complain(`${this.name} ${describeExit(exit)}; starting it again.`);
      const killed = exit.signal === 'SIGKILL' || exit.signal === 'SIGTERM'; // from outside: its log says nothing
      if (!killed) complain(readable(this.#child.lastLines(SHOWN_LINES)));
      await this.#startAgain();
    }
  }

  async #startAgain() {
    while (!this.#stopping) {
      const delay_ms = restartDelay_ms(this.#failures);
      this.#failures = failuresAfter(this.#failures, Date.now() - this.#startedAt_ms);
      await this.#wait(delay_ms);
      if (this.#stopping) return;
      try {
        this.#startedAt_ms = Date.now();
        this.#child = await this.#launch();
        if (this.#stopping) await this.#child.stop();
        else say(`${this.name} runs again`);
        return;
      } catch (error) {
        complain(
          `${this.name} could not be started: ${error instanceof Error ? error.message : String(error)}`,
        );
      }
    }
  }

  /** @param {number} delay_ms @returns {Promise<void>} sooner when stopped */
  #wait(delay_ms) {
    const { signal } = this.#pause;
    return new Promise((resolve) => {
      if (signal.aborted) {
        resolve();
        return;
      }
      const timer = setTimeout(done, delay_ms);
      function done() {
        clearTimeout(timer);
        signal.removeEventListener('abort', done);
        resolve();
      }
      signal.addEventListener('abort', done);
    });
  }
}
