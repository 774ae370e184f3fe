import { setTimeout as sleep } from 'node:timers/promises';
import { Caller, describe, excused } from './caller.mjs';

/**
 * @typedef {object} Tally  what one key's requests came to
 * @property {string} keyId
 * @property {{ at_ms: number }[]} answered  200 with the whole body
 * @property {number} cut  the connection broke: the server may have counted it, or not
 * @property {number} refused  503 with retry-after, or 429
 */

const PROMPT = Array.from({ length: 12 }, (_, i) => 20 + 7 * i);
export const PROMPT_TOKENS = PROMPT.length;
export const COMPLETION_TOKENS = 8;

/** Clients that call adapters without pause, one key each, and check every answer against the first of its kind. */
export class Traffic {
  /** @type {Tally[]} */
  tallies = [];
  /** @type {Map<string, string>} */
  #expected = new Map();
  /** @type {Promise<void>[]} */
  #running = [];
  #stopped = false;
  longest_ms = 0;

  /** @param {{ url: string, models: readonly string[], onFault: (text: string) => void }} options */
  constructor(options) {
    this.options = options;
  }

  /** @param {readonly { id: string, key: string }[]} keys */
  start(keys) {
    for (const [i, { id, key }] of keys.entries()) {
      /** @type {Tally} */
      const tally = { keyId: id, answered: [], cut: 0, refused: 0 };
      this.tallies.push(tally);
      this.#running.push(this.#client(new Caller(this.options.url, key), tally, i));
    }
  }

  get answered() {
    return this.tallies.reduce((sum, { answered }) => sum + answered.length, 0);
  }

  async stop() {
    this.#stopped = true;
    await Promise.all(this.#running);
  }

  /** @param {Caller} caller @param {Tally} tally @param {number} start */
  async #client(caller, tally, start) {
    const { models, onFault } = this.options;
    for (let i = start; !this.#stopped; i++) {
      const model = /** @type {string} */ (models[i % models.length]);
      const answer = await caller.call('POST', '/v1/completions', {
        model,
        prompt: PROMPT,
        max_tokens: COMPLETION_TOKENS,
        temperature: 0,
        ignore_eos: true,
        return_token_ids: true,
      });
      if (answer.status === 200) {
        tally.answered.push({ at_ms: Date.now() });
        this.longest_ms = Math.max(this.longest_ms, answer.took_ms);
        const ids = JSON.stringify(answer.body.choices[0].token_ids);
        const expected = this.#expected.get(model) ?? ids;
        this.#expected.set(model, expected);
        if (ids !== expected) onFault(`${model} answered ${ids}, before ${expected}`);
        continue;
      }
      if (answer.status === 0) tally.cut++;
      else tally.refused++;
      if (!excused(answer)) onFault(`${model}: ${describe(answer)}`);
      await sleep(100);
    }
  }
}
