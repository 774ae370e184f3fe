import { setTimeout as sleep } from 'node:timers/promises';
import { describe, excused } from './caller.mjs';

/**
 * Looks at versions all the time, as tenants do: whatever is ready must be whole, callable at once, and stay so.
 */
export class Watcher {
  /** By adapter@version: its digest. @type {Map<string, string>} */
  ready = new Map();
  looks = 0;
  #stopped = false;
  /** @type {Promise<void> | undefined} */
  #running;

  /** @param {{ caller: import('./caller.mjs').Caller, adapters: readonly string[], random: import('./random.mjs').Random, onFault: (text: string) => void }} options */
  constructor(options) {
    this.options = options;
  }

  start() {
    this.#running = this.#watch();
  }

  async stop() {
    this.#stopped = true;
    await this.#running;
  }

  async #watch() {
    while (!this.#stopped) {
      await this.look(this.options.random.pick(this.options.adapters));
      await sleep(300);
    }
  }

  /** @param {string} adapter */
  async look(adapter) {
    const { caller, onFault } = this.options;
    const answer = await caller.call('GET', `/v1/adapters/${adapter}/versions?limit=100&include=report`);
    if (answer.status === 404) {
      if ([...this.ready.keys()].some((name) => name.startsWith(`${adapter}@`)))
        onFault(`${adapter} is gone`);
      return;
    }
    if (answer.status !== 200) {
      if (!excused(answer)) onFault(`versions of ${adapter}: ${describe(answer)}`);
      return;
    }
    this.looks++;
    const versions = /** @type {any[]} */ (answer.body.data);
    for (const version of versions) this.#check(version);
    for (const [name, digest] of this.ready) {
      if (!name.startsWith(`${adapter}@`)) continue;
      const still = versions.find(({ version }) => name === `${adapter}@${version}`);
      if (still?.digest !== digest || still.state !== 'ready')
        onFault(`${name} was ready with ${digest} and is not any more`);
    }
    const whole = versions.filter(({ state }) => state === 'ready');
    if (whole.length > 0) await this.#use(`${adapter}@${this.options.random.pick(whole).version}`);
  }

  /** @param {any} version */
  #check(version) {
    if (version.state !== 'ready') return;
    const name = `${version.adapter}@${version.version}`;
    this.ready.set(name, this.ready.get(name) ?? version.digest);
    const whole =
      /^[0-9a-f]{64}$/.test(version.digest) &&
      version.report?.verdict === 'accepted' &&
      version.parity?.passed === true;
    if (!whole)
      this.options.onFault(`${name} is ready, but not whole: ${JSON.stringify(version).slice(0, 300)}`);
  }

  /** @param {string} model */
  async #use(model) {
    const answer = await this.options.caller.call('POST', '/v1/completions', {
      model,
      prompt: [5, 6, 7],
      max_tokens: 1,
    });
    if (answer.status !== 200 && !excused(answer))
      this.options.onFault(`${model} is ready: ${describe(answer)}`);
  }
}
