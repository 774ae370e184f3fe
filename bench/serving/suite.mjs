import { fork } from 'node:child_process';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { say } from '../../scripts/lib/print.mjs';
import { describeProbe, probeMachine } from '../kernels/probe.mjs';
import { ensureAdapters, ensureModel } from '../models/generate.mjs';
import { short } from '../report.mjs';
import { median, pairedRatio, seededRandom, spread } from '../statistics.mjs';
import { findKnee, isCarried, nextRate } from './knee.mjs';
import { Product } from './product.mjs';
import { runOpenLoop, runWave } from './run-load.mjs';
import { makeRequests, POPULARITIES, poissonArrivals } from './workload.mjs';

/** @typedef {import('../options.mjs').BenchOptions} BenchOptions */
/** @typedef {import('./workload.mjs').Popularity} Popularity */
/** @typedef {import('./knee.mjs').RatePoint} RatePoint */
/** @typedef {Awaited<ReturnType<typeof runWave>>} Wave */

/** Parts of the rate that the wave reached. */
const RATES = [0.25, 0.5, 0.75, 1, 1.3, 1.6];
const KNEE_CLOSENESS = 0.12;
/** From the highest rate on while it is still carried. */
const HIGHER = 1.3;
const MOST_HIGHER = 3;
const OVERHEAD_REQUESTS = 30;
const SINGLE_PROMPT_TOKENS = 16;

/** The environment of the measured product. @param {BenchOptions} options */
export function productEnvironment({ format, threads }) {
  return {
    QUANTIZATION: format,
    THREADS: String(threads),
    ADAPTER_CACHE_BYTES: '2G',
    MAX_CONTEXT: '1024',
    LOG_LEVEL: 'warn',
  };
}

/** Measures the product over HTTP. */
export class ServingSuite {
  #options;
  #seed = 1;

  /** @param {BenchOptions} options */
  constructor(options) {
    this.#options = options;
  }

  async run() {
    const { shape, ranks, format } = this.#options;
    const modelPath = await ensureModel(shape);
    const adapters = await ensureAdapters(shape, ranks, this.#options.wave.count);
    const env = productEnvironment(this.#options);
    const product = await Product.start({
      title: `starting Lorikeet (${shape.name}, ${format})`,
      modelPath,
      env,
    });
    /** @type {Product | undefined} */
    let bare;
    try {
      await product.uploadAdapters(adapters);
      const coldStart = await this.#coldStart(product);
      const waves = await this.#waves(product);
      bare = await Product.start({ title: 'starting Lorikeet without any adapter', modelPath, env });
      const unused = await this.#unusedAdapters(product, bare);
      await bare.stop();
      bare = undefined;
      const overhead = await this.#apiOverhead(product);
      const neighbour = await this.#noisyNeighbour(product);
      const sweeps = await this.#sweeps(product, waves);
      const memory = await product.engineMemory();
      return { coldStart, waves, unused, overhead, neighbour, sweeps, memory };
    } finally {
      await bare?.stop();
      await product.stop();
    }
  }

  /** @param {Popularity} popularity @param {Partial<{ count: number, promptTokens: number, newTokens: number }>} [other] */
  #requests(popularity, other = {}) {
    const { shape, wave } = this.#options;
    return makeRequests({
      ...wave,
      ...other,
      seed: this.#seed++,
      vocabulary: shape.vocabulary,
      popularity,
      adapters: wave.count,
    });
  }

  /** First token of each adapter's first request against its second. @param {Product} product */
  async #coldStart(product) {
    const one = { count: 1, promptTokens: SINGLE_PROMPT_TOKENS, newTokens: 2 };
    await runWave(product, this.#requests('none', one));
    /** @type {number[]} */
    const cold = [];
    /** @type {number[]} */
    const warm = [];
    for (let adapter = 0; adapter < product.adapters.length; adapter++) {
      for (const times of [cold, warm]) {
        const [request] = this.#requests('none', one);
        const { figures } = await runWave(product, [{ .../** @type {any} */ (request), adapter }]);
        times.push(figures.ttft_ms?.p50 ?? Number.NaN);
      }
    }
    const added = spread(cold.map((time, i) => time - /** @type {number} */ (warm[i])));
    say(`  adapter cold start adds ${short(added.median)} ms to the first token (median of ${cold.length})`);
    return { cold_ms: spread(cold), warm_ms: spread(warm), added_ms: added };
  }

  /** Each popularity once per round, so that all of them meet the same weather. @param {Product} product */
  async #waves(product) {
    /** @type {Record<Popularity, Wave[]>} */
    const waves = { none: [], identical: [], uniform: [], zipf: [], distinct: [] };
    const probes = [];
    for (const popularity of POPULARITIES) await runWave(product, this.#requests(popularity)); // warm
    for (let round = 0; round < this.#options.rounds; round++) {
      probes.push(await probeMachine(this.#options.threads));
      say(`  round ${round + 1} of ${this.#options.rounds}: ${describeProbe(probes.at(-1) ?? [])}`);
      for (const popularity of POPULARITIES) {
        const wave = await runWave(product, this.#requests(popularity));
        waves[popularity].push(wave);
        say(`    wave ${popularity}: ${short(wave.figures.tokensPerSecond)} tokens/s`);
      }
    }
    const rate = (/** @type {Wave} */ { figures }) => figures.tokensPerSecond;
    const byPopularity = POPULARITIES.map((popularity) => ({
      popularity,
      tokensPerSecond: spread(waves[popularity].map(rate)),
      ofNone: pairedRatio(waves[popularity].map(rate), waves.none.map(rate)),
      runs: waves[popularity].map(({ figures, engine }) => ({ figures, engine })),
    }));
    return { probes, byPopularity };
  }

  /** Base-only traffic with adapters resident, against an engine that never saw one. @param {Product} product @param {Product} bare */
  async #unusedAdapters(product, bare) {
    const loaded = [];
    const without = [];
    await runWave(bare, this.#requests('none')); // its first touches
    for (let round = 0; round < this.#options.rounds; round++) {
      loaded.push((await runWave(product, this.#requests('none'))).figures.tokensPerSecond);
      without.push((await runWave(bare, this.#requests('none'))).figures.tokensPerSecond);
    }
    const ratio = pairedRatio(loaded, without);
    say(`  base only with adapters loaded over without any: ${short(ratio.median)}`);
    return { loaded: spread(loaded), without: spread(without), ratio };
  }

  /** What HTTP, API and SSE add to the engine's own time to the first token, request by request. @param {Product} product */
  async #apiOverhead(product) {
    const one = { count: 1, promptTokens: SINGLE_PROMPT_TOKENS, newTokens: 2 };
    const added = [];
    const client = [];
    for (let i = 0; i < OVERHEAD_REQUESTS; i++) {
      const { figures, engine } = await runWave(product, this.#requests('none', one));
      const seen = figures.ttft_ms?.p50;
      if (seen === undefined || engine.ttftMean_ms === undefined) continue;
      client.push(seen);
      added.push(seen - engine.ttftMean_ms);
    }
    if (added.length === 0) return undefined;
    say(`  API to first token adds ${short(median(added) ?? 0)} ms to the engine's own`);
    return { client_ms: spread(client), added_ms: spread(added) };
  }

  /** Throughput while another program wants one core. @param {Product} product */
  async #noisyNeighbour(product) {
    const quiet = [];
    const noisy = [];
    const shares = [];
    for (let round = 0; round < this.#options.rounds; round++) {
      quiet.push((await runWave(product, this.#requests('none'))).figures.tokensPerSecond);
      const spinner = fork(join(import.meta.dirname, 'spinner.mjs'));
      try {
        await sleep(500);
        noisy.push((await runWave(product, this.#requests('none'))).figures.tokensPerSecond);
        shares.push(await shareOf(spinner));
      } finally {
        spinner.kill('SIGKILL');
      }
    }
    const ratio = pairedRatio(noisy, quiet);
    say(`  with a busy neighbour: ${short(ratio.median)} of quiet`);
    return { quiet: spread(quiet), noisy: spread(noisy), ratio, neighbourCpus: spread(shares) };
  }

  /** @param {Product} product @param {{ byPopularity: { popularity: Popularity, tokensPerSecond: { median: number } }[] }} waves */
  async #sweeps(product, { byPopularity }) {
    const sweeps = [];
    for (const popularity of this.#options.sweepPopularities) {
      const wave = byPopularity.find((one) => one.popularity === popularity);
      const most = (wave?.tokensPerSecond.median ?? 1) / this.#options.wave.newTokens;
      /** @type {(RatePoint & { engine: object })[]} */
      const points = [];
      for (const part of RATES) {
        points.push(await this.#rate(product, popularity, most * part));
        const last = points.at(-1);
        if (last && !isCarried(last) && (last.overloaded || part >= 1)) break;
      }
      for (let more = 0; more < MOST_HIGHER && findKnee(points).missed === undefined; more++) {
        points.push(await this.#rate(product, popularity, (points.at(-1)?.perSecond ?? most) * HIGHER));
      }
      for (let refined = 0; refined < 2; refined++) {
        const rate = nextRate(points, KNEE_CLOSENESS);
        if (rate !== undefined) points.push(await this.#rate(product, popularity, rate));
      }
      const { carried, missed } = findKnee(points);
      sweeps.push({ popularity, points, knee: carried?.perSecond, isLowerBound: missed === undefined });
    }
    const ceiling = sweeps.find(({ popularity }) => popularity === 'none')?.knee;
    return sweeps.map((sweep) => ({
      ...sweep,
      kneeOfNone: ceiling !== undefined && sweep.knee !== undefined ? sweep.knee / ceiling : undefined,
    }));
  }

  /** @param {Product} product @param {Popularity} popularity @param {number} perSecond */
  async #rate(product, popularity, perSecond) {
    const arrivals = poissonArrivals(perSecond, this.#options.secondsPerRate, seededRandom(this.#seed++));
    if (arrivals.length === 0) arrivals.push(0);
    const run = await runOpenLoop(product, this.#requests(popularity, { count: arrivals.length }), arrivals);
    const { ttft_ms, metShare } = run.figures;
    const seen = ttft_ms ? `TTFT p50 ${short(ttft_ms.p50)} p99 ${short(ttft_ms.p99)} ms` : 'nothing ended';
    const how = run.overloaded ? ', overloaded' : '';
    say(`    ${popularity} ${short(perSecond)}/s: ${seen}, ${short(metShare * 100)} % within limits${how}`);
    return { perSecond, overloaded: run.overloaded, figures: run.figures, engine: run.engine };
  }
}

/** @param {import('node:child_process').ChildProcess} spinner @returns {Promise<number>} */
function shareOf(spinner) {
  return new Promise((resolve, reject) => {
    spinner.once('message', (message) => resolve(/** @type {{ share: number }} */ (message).share));
    spinner.once('exit', () => reject(new Error('the spinner ended too early')));
    spinner.send('end');
  });
}
