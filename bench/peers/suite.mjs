import { say, step } from '../../scripts/lib/print.mjs';
import { describeProbe, probeMachine } from '../kernels/probe.mjs';
import { ensureAdapters, ensureGguf, ensureGgufAdapters, ensureModel } from '../models/generate.mjs';
import { short } from '../report.mjs';
import { pairedRatio, spread } from '../statistics.mjs';
import { figuresOf } from '../serving/outcome.mjs';
import { Product } from '../serving/product.mjs';
import { runWave } from '../serving/run-load.mjs';
import { productEnvironment } from '../serving/suite.mjs';
import { makeRequests } from '../serving/workload.mjs';
import { installLlamaCpp, LLAMA_CPP_VERSION, LlamaCppPeer } from './llama-cpp-peer.mjs';
import { checkSameTokens } from './same-tokens.mjs';
import { TransformersPeer, whyNoTransformers } from './transformers-peer.mjs';

/** @typedef {import('../options.mjs').BenchOptions} BenchOptions */
/** @typedef {import('../serving/workload.mjs').Popularity} Popularity */
/** @typedef {import('../serving/workload.mjs').BenchRequest} BenchRequest */
/** @typedef {import('../serving/outcome.mjs').Figures} Figures */
/** @typedef {{ count: number, promptTokens: number, newTokens: number }} Load */
/** @typedef {{ name: string, popularity: Popularity, load: Load, figure: 'tokensPerSecond' | 'laterTokensPerSecond' | 'decodeTokensPerSecond' | 'prefill' }} Case */
/**
 * One side of the comparison. `only`: the cases that it runs.
 * @typedef {{ name: string, wave: (requests: readonly BenchRequest[]) => Promise<Figures>, only?: (one: Case) => boolean }} Side
 */

/** @param {BenchOptions} options @returns {Case[]} */
function casesOf({ wave, quick }) {
  const few = quick ? 8 : 64;
  return [
    { name: 'wave, no adapter', popularity: 'none', load: wave, figure: 'tokensPerSecond' },
    { name: 'wave, one adapter for all', popularity: 'identical', load: wave, figure: 'tokensPerSecond' },
    { name: 'wave, distinct adapters', popularity: 'distinct', load: wave, figure: 'tokensPerSecond' },
    {
      name: `prefill of ${quick ? 64 : 512} tokens`,
      popularity: 'none',
      load: { count: 1, promptTokens: quick ? 64 : 512, newTokens: 1 },
      figure: 'prefill',
    },
    {
      name: 'decode, 1 sequence',
      popularity: 'none',
      load: { count: 1, promptTokens: 16, newTokens: few },
      figure: 'laterTokensPerSecond',
    },
    {
      name: `decode, ${wave.count} sequences`,
      popularity: 'none',
      load: { count: wave.count, promptTokens: 16, newTokens: few },
      figure: quick ? 'laterTokensPerSecond' : 'decodeTokensPerSecond',
    },
  ];
}

/** The figure of a case in tokens per second. @param {Case} one @param {Figures} figures */
function figureOf({ figure, load }, figures) {
  if (figure === 'prefill') return (load.promptTokens / /** @type {number} */ (figures.ttft_ms?.p50)) * 1000;
  const value = figures[figure];
  if (value === undefined) throw new Error(`no ${figure} in a run of ${load.newTokens} tokens`);
  return value;
}

/** Settings of llama.cpp that may be fastest; the first is what wins nearly always, `tune` looks at all of them. */
const CANDIDATES = [
  { flashAttention: true, batchSize: 512 },
  { flashAttention: false, batchSize: 512 },
  { flashAttention: true, batchSize: 2048 },
];

/** @param {BenchOptions} options */
export async function runPeers(options) {
  const { shape, ranks, wave, format, peerFormat } = options;
  const missing = await installLlamaCpp();
  if (missing !== undefined) return { skipped: missing };
  const modelPath = await ensureModel(shape);
  const adapters = await ensureAdapters(shape, ranks, wave.count);
  const sameTokens = await checkSameTokens(options, adapters, modelPath);
  const gguf = await ensureGguf(shape, peerFormat);
  const ggufAdapters = await ensureGgufAdapters(shape, adapters, 'f16');
  const tuned = await step(`looking for llama.cpp's best settings (${peerFormat})`, () =>
    tune(options, gguf, ggufAdapters),
  );
  const peer = await openPeer(options, gguf, ggufAdapters, tuned.best);
  /** @type {Product | undefined} */
  let product;
  /** @type {TransformersPeer | undefined} */
  let transformers;
  try {
    const title = `starting Lorikeet (${shape.name}, ${format})`;
    product = await Product.start({ title, modelPath, env: productEnvironment(options) });
    await product.uploadAdapters(adapters);
    const noTransformers = await whyNoTransformers(options.python);
    if (noTransformers === undefined) {
      transformers = new TransformersPeer(/** @type {string} */ (options.python));
      const opening = transformers.open({
        model: modelPath,
        adapters: adapters.map(({ folder }) => folder),
        threads: options.threads,
      });
      await step('opening Transformers + PEFT', () => opening);
    } else say(`  Transformers + PEFT is left out: ${noTransformers}`);
    await loadAdapters(options, product);
    const sides = sidesOf({ product, peer, ggufAdapters, transformers });
    const cases = await interleave(options, casesOf(options), sides);
    return {
      sameTokens,
      tuned,
      llamaCpp: `node-llama-cpp ${LLAMA_CPP_VERSION}, ${peerFormat}`,
      noTransformers,
      ...cases,
    };
  } finally {
    await transformers?.close();
    await peer.close();
    await product?.stop();
  }
}
/** @typedef {Exclude<Awaited<ReturnType<typeof runPeers>>, { skipped: string }>} PeersResult */

/** As the peers hold theirs before the clock starts. @param {BenchOptions} options @param {Product} product */
async function loadAdapters({ shape, wave: { count } }, product) {
  const load = { count, promptTokens: 16, newTokens: 2, seed: 999, vocabulary: shape.vocabulary };
  await runWave(product, makeRequests({ ...load, popularity: 'distinct', adapters: count }));
}

/**
 * @param {{ product: Product, peer: LlamaCppPeer, ggufAdapters: readonly string[], transformers: TransformersPeer | undefined }} of
 * @returns {Side[]}
 */
function sidesOf({ product, peer, ggufAdapters, transformers }) {
  /** @type {Side[]} */
  const sides = [
    { name: 'Lorikeet', wave: async (requests) => (await runWave(product, requests)).figures },
    { name: 'llama.cpp', wave: (requests) => peerWave(peer, ggufAdapters, requests) },
  ];
  if (transformers) {
    sides.push({
      name: 'Transformers + PEFT (bf16)',
      wave: async (requests) => figuresOf(outcomesOf((await transformers.wave(requests)).times_ms)),
      only: ({ name }) => name.startsWith('wave'),
    });
  }
  return sides;
}

/** All sides run the same requests in turn: A B C A B C ... @param {BenchOptions} options @param {readonly Case[]} cases @param {readonly Side[]} sides */
async function interleave({ rounds, threads, shape, wave }, cases, sides) {
  /** @type {Map<string, number[]>} */
  const figures = new Map();
  /** @type {{ round: number, case: string, side: string, figures: Figures }[]} */
  const runs = [];
  const probes = [];
  let seed = 1000;
  for (let round = 0; round < rounds; round++) {
    const probe = await probeMachine(threads);
    probes.push(probe);
    say(`  round ${round + 1} of ${rounds}: ${describeProbe(probe)}`);
    for (const one of cases) {
      const requests = makeRequests({
        ...one.load,
        seed: seed++,
        vocabulary: shape.vocabulary,
        popularity: one.popularity,
        adapters: wave.count,
      });
      for (const { name, wave: run } of sides.filter(({ only }) => only?.(one) ?? true)) {
        const measured = await run(requests);
        const key = `${one.name}/${name}`;
        figures.set(key, [...(figures.get(key) ?? []), figureOf(one, measured)]);
        runs.push({ round, case: one.name, side: name, figures: measured });
        say(`    ${one.name}: ${name} ${short(figureOf(one, measured))} tokens/s`);
      }
    }
  }
  const [ours] = sides;
  const table = cases.map((one) => {
    const mine = figures.get(`${one.name}/${ours?.name}`) ?? [];
    const measured = sides.flatMap(({ name }) => {
      const values = figures.get(`${one.name}/${name}`);
      return values
        ? [{ side: name, tokensPerSecond: spread(values), oursOver: pairedRatio(mine, values) }]
        : [];
    });
    return { case: one.name, measured };
  });
  return { probes, table, runs };
}

/** @param {readonly (readonly number[])[]} times_ms  of each request */
function outcomesOf(times_ms) {
  return times_ms.map((times) => ({ arrived_ms: 0, times_ms: times, fault: undefined }));
}

/** @param {LlamaCppPeer} peer @param {readonly string[]} paths @param {readonly BenchRequest[]} requests */
async function peerWave(peer, paths, requests) {
  const { results } = await peer.wave(
    requests.map(({ prompt, newTokens, adapter }) => ({
      prompt,
      maxTokens: newTokens,
      adapterPath: adapter === undefined ? null : (paths[adapter] ?? null),
    })),
  );
  return figuresOf(outcomesOf(results.map(({ times_ms }) => times_ms)));
}

/** @param {BenchOptions} options @param {string} modelPath @param {readonly string[]} adapters @param {(typeof CANDIDATES)[number]} settings */
async function openPeer({ threads, wave }, modelPath, adapters, settings) {
  const peer = new LlamaCppPeer();
  try {
    const contextTokens = Math.max(768, wave.promptTokens + wave.newTokens + 64);
    await peer.open({ modelPath, threads, sequences: wave.count, contextTokens, ...settings });
    await peer.preload(adapters);
  } catch (error) {
    await peer.close();
    throw error;
  }
  return peer;
}

/** A short wave under each candidate; the peer then runs with the fastest. @param {BenchOptions} options @param {string} modelPath @param {readonly string[]} adapters */
async function tune(options, modelPath, adapters) {
  const { shape, wave, quick } = options;
  const tried = [];
  for (const settings of quick ? CANDIDATES.slice(0, 1) : CANDIDATES) {
    const peer = await openPeer(options, modelPath, adapters.slice(0, 1), settings);
    try {
      const requests = makeRequests({
        count: wave.count,
        promptTokens: 32,
        newTokens: 16,
        seed: 5,
        vocabulary: shape.vocabulary,
        popularity: 'none',
        adapters: 0,
      });
      const times = [];
      for (let turn = 0; turn < (quick ? 1 : 2); turn++) {
        times.push((await peerWave(peer, [], requests)).tokensPerSecond);
      }
      tried.push({ settings, tokensPerSecond: Math.max(...times) });
    } finally {
      await peer.close();
    }
  }
  tried.sort((a, b) => b.tokensPerSecond - a.tokensPerSecond);
  const best = /** @type {(typeof tried)[number]} */ (tried[0]).settings;
  return { best, tried };
}
