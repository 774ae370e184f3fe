import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, excused } from './caller.mjs';

/** @typedef {{ id: string, adapter: string, version: number, weights_sha256: string }} Accepted */

/** The demo adapter in `folder` with its first weights changed a little, so that every upload has bytes of its own. */
export class Variants {
  /** @param {string} folder */
  constructor(folder) {
    this.config = readFileSync(join(folder, 'adapter_config.json'));
    this.weights = readFileSync(join(folder, 'adapter_model.safetensors'));
    this.data = 8 + Number(this.weights.readBigUInt64LE(0));
  }

  /** @param {number} n */
  weightsOf(n) {
    const weights = Buffer.from(this.weights);
    // The lowest bytes of two float32 of the first tensor: no greedy answer hangs on them.
    weights[this.data] = n & 0xff;
    weights[this.data + 4] = (n >> 8) & 0xff;
    return weights;
  }

  /** @param {number} n */
  sha256(n) {
    return createHash('sha256').update(this.weightsOf(n)).digest('hex');
  }

  /** @param {number} n */
  form(n) {
    const form = new FormData();
    form.append('files', new Blob([this.config]), 'adapter_config.json');
    form.append('files', new Blob([this.weightsOf(n)]), 'adapter_model.safetensors');
    return form;
  }
}

/**
 * Uploads `count` variants, three at a time, each until it is accepted.
 * @param {{ caller: import('./caller.mjs').Caller, variants: Variants, count: number, adapters: number,
 *   onAccepted: (accepted: Accepted, done: number) => void, onFault: (text: string) => void }} options
 * @returns {Promise<{ accepted: Accepted[], tries: number }>}
 */
export async function uploadAll({ caller, variants, count, adapters, onAccepted, onFault }) {
  /** @type {Accepted[]} */
  const accepted = [];
  let next = 0;
  let tries = 0;
  const line = async () => {
    while (next < count) {
      const n = next++;
      for (;;) {
        tries++;
        const path = `/v1/adapters/load-${n % adapters}/versions?create=true`;
        const answer = await caller.call('POST', path, variants.form(n));
        if (answer.status === 201) {
          accepted.push(answer.body);
          onAccepted(answer.body, accepted.length);
          break;
        }
        if (!excused(answer)) onFault(`upload ${n}: ${describe(answer)}`);
        await sleep(250);
      }
    }
  };
  await Promise.all([line(), line(), line()]);
  return { accepted, tries };
}
