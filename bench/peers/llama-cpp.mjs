// llama.cpp in a process of its own, driven by messages of the parent (llama-cpp-peer.mjs).
// It never mixes adapters in a batch: requests of one adapter are computed together, groups one after another, which is
// its fastest way. Everything that can be done before the first request arrives (loading, allocating) is not timed.
import { getLlama, LlamaLogLevel } from 'node-llama-cpp';

/** @typedef {import('./llama-cpp-peer.mjs').PeerSettings} PeerSettings */
/** @typedef {import('./llama-cpp-peer.mjs').PeerRequest} PeerRequest */

/* oxlint-disable no-underscore-dangle -- the inner objects of node-llama-cpp: its exact version is pinned */

/** One request while it is computed. @typedef {{ sequence: number, pending: number[], computed: number, maxTokens: number, sampler: any, tokens: number[], times_ms: number[] }} Running */

/**
 * Drives llama.cpp's own batch, decode and sample calls: node-llama-cpp's evaluate() doubles the time of a step
 * of 16 sequences. As llama.cpp's server does, a batch takes the next token of every generating request and fills up
 * with prompts.
 */
class Peer {
  /** @param {import('node-llama-cpp').LlamaModel} model @param {import('node-llama-cpp').LlamaContext} context @param {PeerSettings} settings */
  constructor(model, context, settings) {
    this.context = context;
    this.inner = /** @type {any} */ (context)._ctx;
    this.inner.setThreads(settings.threads);
    this.batchSize = settings.batchSize;
    this.samplers = Array.from({ length: settings.sequences }, () => {
      const sampler = new /** @type {any} */ (model.llama)._bindings.AddonSampler(
        /** @type {any} */ (model)._model,
      );
      sampler.applyConfig({ temperature: 0 });
      return sampler;
    });
  }

  /** @param {PeerSettings} settings */
  static async open(settings) {
    const llama = await getLlama({
      gpu: false,
      build: 'never',
      skipDownload: true,
      maxThreads: settings.threads,
      logLevel: LlamaLogLevel.error,
    });
    const model = await llama.loadModel({
      modelPath: settings.modelPath,
      gpuLayers: 0,
      useMmap: false, // anonymous memory: huge pages and repacked weights
      ignoreMemorySafetyChecks: true,
    });
    const context = await model.createContext({
      sequences: settings.sequences,
      contextSize: settings.contextTokens,
      batchSize: settings.batchSize,
      threads: { ideal: settings.threads, min: settings.threads },
      flashAttention: settings.flashAttention,
      ignoreMemorySafetyChecks: true,
    });
    return { peer: new Peer(model, context, settings), systemInfo: llama.systemInfo };
  }

  /** Reads the files, so that the first request does not. @param {string[]} paths */
  async preload(paths) {
    for (const path of paths) await this.#useAdapter(path);
    await this.#useAdapter(null);
  }

  /** @param {PeerRequest[]} requests  all arrive now */
  async wave(requests) {
    const arrived_ms = performance.now();
    /** @type {{ tokens: number[], times_ms: number[] }[]} */
    const results = Array.from({ length: requests.length });
    for (const [adapterPath, members] of groupByAdapter(requests)) {
      await this.#useAdapter(adapterPath);
      for (let first = 0; first < members.length; first += this.samplers.length) {
        const together = members.slice(first, first + this.samplers.length);
        const running = together.map(([, request], place) => this.#start(place, request));
        while (running.some((one) => one.pending.length > 0)) await this.#step(running, arrived_ms);
        for (const [place, [index]] of together.entries()) {
          const { tokens, times_ms } = /** @type {Running} */ (running[place]);
          results[index] = { tokens, times_ms };
          this.inner.disposeSequence(place); // forgets its cache
        }
      }
    }
    return { results, total_ms: performance.now() - arrived_ms };
  }

  /** @param {number} sequence @param {PeerRequest} request @returns {Running} */
  #start(sequence, { prompt, maxTokens }) {
    const sampler = this.samplers[sequence];
    return { sequence, pending: [...prompt], computed: 0, maxTokens, sampler, tokens: [], times_ms: [] };
  }

  /** @param {readonly Running[]} running @param {number} arrived_ms */
  async #step(running, arrived_ms) {
    const shares = this.#share(running);
    this.inner.initBatch(shares.reduce((sum, { count }) => sum + count, 0));
    const sampled = [];
    for (const { one, count } of shares) {
      const tokens = one.pending.splice(0, count);
      const wanted = one.pending.length === 0 ? [count - 1] : [];
      const [place] = this.inner.addToBatch(
        one.sequence,
        one.computed,
        Uint32Array.from(tokens),
        Uint32Array.from(wanted),
      );
      one.computed += count;
      if (wanted.length > 0) sampled.push({ one, place });
    }
    await this.inner.decodeBatch();
    const tokens = await Promise.all(
      sampled.map(({ one, place }) => this.inner.sampleToken(place, one.sampler)),
    );
    const now_ms = performance.now() - arrived_ms;
    for (const [i, { one }] of sampled.entries()) {
      one.tokens.push(tokens[i]);
      one.times_ms.push(now_ms);
      if (one.tokens.length < one.maxTokens) one.pending.push(tokens[i]);
    }
  }

  /** Tokens of each request in the next batch: those that generate first, then prompts. @param {readonly Running[]} running */
  #share(running) {
    let room = this.batchSize;
    return running
      .filter(({ pending }) => pending.length > 0)
      .sort((a, b) => Number(a.tokens.length === 0) - Number(b.tokens.length === 0))
      .flatMap((one) => {
        const count = Math.min(room, one.pending.length);
        room -= count;
        return count > 0 ? [{ one, count }] : [];
      });
  }

  /** @param {string | null} path */
  async #useAdapter(path) {
    await /** @type {any} */ (this.context)._setLoras(path === null ? [] : [{ filePath: path, scale: 1 }]);
  }
}

/** @param {PeerRequest[]} requests */
function groupByAdapter(requests) {
  const groups = new Map();
  for (const [index, request] of requests.entries()) {
    const members = groups.get(request.adapterPath) ?? [];
    groups.set(request.adapterPath, [...members, [index, request]]);
  }
  return groups;
}

/** @type {Peer | undefined} */
let peer;

/** @param {any} message */
async function answer(message) {
  if (message.do === 'open') {
    const opened = await Peer.open(message.settings);
    peer = opened.peer;
    return { systemInfo: opened.systemInfo };
  }
  if (!peer) throw new Error('no model is open');
  if (message.do === 'preload') return peer.preload(message.paths);
  if (message.do === 'wave') return peer.wave(message.requests);
  throw new Error(`unknown message ${message.do}`);
}

process.on('message', (message) => {
  answer(message).then(
    (result) => process.send?.({ id: message.id, result: result ?? null }),
    (error) => process.send?.({ id: message.id, error: error.stack ?? String(error) }),
  );
});
process.on('disconnect', () => process.exit(0)); // the parent is gone
