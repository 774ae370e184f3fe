import { openModel } from '#native-engine/load.js';
import {
  NEUTRAL_COLUMNS,
  SAMPLE_FLOATS,
  SAMPLE_INT,
  SAMPLE_INTS,
  SAMPLE_MODE,
} from '#native-engine/sample-columns.js';
import { makeStepPlan } from '#native-engine/step-plan.js';

const PAGE_TOKENS = 16;
const MAX_CONTEXT = 256;
const MAX_ROWS = 4096;
const MAX_SEQUENCES = 100;

/** @typedef {{ row: number, target?: number }} Sample  a row of its work; without a target, greedy */
/** @typedef {{ tokens: readonly number[], from: number, index: number, adapter?: number, samples: readonly Sample[] }} Work */

/** The native engine alone: a fixed place in the cache for each of up to 100 sequences, and no scheduler. */
export class Engine {
  #model;
  #plan = makeStepPlan({
    rows: MAX_ROWS,
    sequences: MAX_SEQUENCES,
    pagesPerSequence: MAX_CONTEXT / PAGE_TOKENS,
    samples: MAX_ROWS,
    history: 16,
    bias: 16,
  });

  /** @param {any} model */
  constructor(model) {
    this.#model = model;
  }

  /** @param {string} modelPath @param {{ quantization: string, cache: string, adapters: string, threads: number }} options */
  static async open(modelPath, { quantization, cache, adapters, threads }) {
    const model = await openModel({
      modelPath,
      backend: 'cpu',
      threads,
      quantization: /** @type {any} */ (quantization),
      adapterDtype: /** @type {any} */ (adapters),
      maxStepTokens: MAX_ROWS,
      maxSequences: MAX_SEQUENCES,
      kv: { bytes: 256 << 20, pageTokens: PAGE_TOKENS, dtype: /** @type {any} */ (cache) },
    });
    return new Engine(model);
  }

  get weightBytes() {
    return this.#model.description.weightBytes;
  }

  /** Of all that were loaded. */
  adapterBytes = 0;

  /** @param {object} spec */
  async load(spec) {
    const { handle, bytes } = await this.#model.loadAdapter(spec);
    this.adapterBytes += bytes;
    return handle;
  }

  close() {
    return this.#model.close();
  }

  /** The tokens' log-probabilities (natural) from place `from` on. @param {readonly number[]} tokens @param {number} from @param {number} [adapter] */
  async score(tokens, from, adapter) {
    const samples = [];
    for (let place = from; place < tokens.length; place++) {
      samples.push({ row: place - 1, target: /** @type {number} */ (tokens[place]) });
    }
    const results = await this.#step([{ tokens, from: 0, index: 0, adapter, samples }]);
    return results.map(({ logprob }) => logprob);
  }

  /** Greedy replies to at most 100 prompts at once. @param {readonly (readonly number[])[]} prompts @param {number} count @param {number} [adapter] */
  async generate(prompts, count, adapter) {
    const sequences = prompts.map((prompt) => [...prompt]);
    for (let token = 0; token < count; token++) {
      const works = sequences.map((tokens, index) => {
        const from = token === 0 ? 0 : tokens.length - 1;
        return { tokens, from, index, adapter, samples: [{ row: tokens.length - 1 - from }] };
      });
      const results = await this.#step(works);
      sequences.forEach((tokens, index) => tokens.push(results[index]?.token ?? 0));
    }
    return sequences.map((tokens, index) => tokens.slice(prompts[index]?.length));
  }

  /** @param {readonly Work[]} works */
  async #step(works) {
    const plan = this.#plan;
    Object.assign(plan, { rows: 0, sequences: 0, segments: 0, samples: 0 });
    for (const work of works) this.#add(work);
    await this.#model.step(plan);
    return Array.from({ length: plan.samples }, (_, at) => ({
      token: plan.outToken[at] ?? 0,
      logprob: plan.outLogprob[at] ?? Number.NaN,
    }));
  }

  /** @param {Work} work */
  #add({ tokens, from, index, adapter, samples }) {
    const plan = this.#plan;
    const pages = MAX_CONTEXT / PAGE_TOKENS;
    const row0 = plan.rows;
    for (let position = from; position < tokens.length; position++) {
      plan.token[plan.rows] = tokens[position] ?? 0;
      plan.position[plan.rows] = position;
      plan.kvSlot[plan.rows++] = index * MAX_CONTEXT + position;
    }
    for (let page = 0; page < pages; page++) {
      plan.pageTable[plan.sequences * plan.pageTableStride + page] = index * pages + page;
    }
    plan.kvLength[plan.sequences++] = tokens.length;
    plan.qStart[plan.sequences] = plan.rows;
    if (adapter !== undefined) plan.segment.set([row0, plan.rows - row0, adapter], plan.segments++ * 3);
    for (const { row, target } of samples) {
      const at = plan.samples++;
      plan.sampleRow[at] = row0 + row;
      plan.sampleInt.set(NEUTRAL_COLUMNS.ints, at * SAMPLE_INTS);
      plan.sampleInt[at * SAMPLE_INTS + SAMPLE_INT.mode] =
        target === undefined ? SAMPLE_MODE.sample : SAMPLE_MODE.score;
      plan.sampleInt[at * SAMPLE_INTS + SAMPLE_INT.target] = target ?? 0;
      plan.sampleFloat.set(NEUTRAL_COLUMNS.floats, at * SAMPLE_FLOATS);
    }
  }
}
