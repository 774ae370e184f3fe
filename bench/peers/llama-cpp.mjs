// llama.cpp in a process of its own, driven by messages of the parent (llama-cpp-peer.mjs).
// It never mixes adapters in a batch: requests of one adapter are computed together, groups one after another, which is
// its fastest way. Everything that can be done before the first request arrives (loading, allocating) is not timed.
import { getLlama, LlamaLogLevel } from 'node-llama-cpp';

/** @typedef {import('./llama-cpp-peer.mjs').PeerSettings} PeerSettings */
/** @typedef {import('./llama-cpp-peer.mjs').PeerRequest} PeerRequest */

class Peer {
  /** @param {import('node-llama-cpp').LlamaModel} model @param {import('node-llama-cpp').LlamaContext} context */
  constructor(model, context) {
    this.model = model;
    this.context = context;
    this.sequences = Array.from({ length: context.totalSequences }, () => context.getSequence());
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
    return { peer: new Peer(model, context), systemInfo: llama.systemInfo };
  }

  /** Reads the files, so that the first request does not. @param {string[]} paths */
  async preload(paths) {
    for (const path of paths) await this.#useAdapter(path);
    await this.#useAdapter(null);
  }

  /** @param {PeerRequest[]} requests  all arrive now */
  async wave(requests) {
    const arrived_ms = performance.now();
    const groups = groupByAdapter(requests);
    /** @type {{ tokens: number[], times_ms: number[] }[]} */
    const results = Array.from({ length: requests.length });
    for (const [adapterPath, members] of groups) {
      await this.#useAdapter(adapterPath);
      for (let first = 0; first < members.length; first += this.sequences.length) {
        await Promise.all(
          members.slice(first, first + this.sequences.length).map(async ([index, request], place) => {
            results[index] = await this.#generate(place, request, arrived_ms);
          }),
        );
      }
    }
    return { results, total_ms: performance.now() - arrived_ms };
  }

  /** @param {number} place @param {PeerRequest} request @param {number} arrived_ms */
  async #generate(place, { prompt, maxTokens }, arrived_ms) {
    const sequence = this.sequences[place];
    await sequence.clearHistory();
    const tokens = [];
    const times_ms = [];
    for await (const token of sequence.evaluate(prompt, { temperature: 0, yieldEogToken: true })) {
      tokens.push(token);
      times_ms.push(performance.now() - arrived_ms);
      if (tokens.length === maxTokens) break;
    }
    return { tokens, times_ms };
  }

  /** node-llama-cpp sets adapters when a context is made; the exact version is pinned, so its inner call is used. @param {string | null} path */
  async #useAdapter(path) {
    // oxlint-disable-next-line no-underscore-dangle
    await this.context._setLoras(path === null ? [] : [{ filePath: path, scale: 1 }]);
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
