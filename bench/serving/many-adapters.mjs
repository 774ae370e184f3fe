import { say, step } from '../../scripts/lib/print.mjs';
import { ensureAdapters, ensureModel } from '../models/generate.mjs';
import { conditions, loadLine, markdownTable, short } from '../report.mjs';
import { seededRandom, summary } from '../statistics.mjs';
import { Product } from './product.mjs';
import { runOpenLoop, runWave } from './run-load.mjs';
import { productEnvironment } from './suite.mjs';
import { makeRequests, poissonArrivals } from './workload.mjs';

/** @typedef {import('../options.mjs').BenchOptions} BenchOptions */

const RANKS = 'r8';
const RESIDENT = 64;
/** Part of the rate that a wave reaches: loads must show, not queues. */
const LOAD = 0.5;

/**
 * Far more adapters registered than fit on the device, asked for by Zipf: loads and evictions go on all the time, and
 * no request may wait for another one's adapter.
 * @param {BenchOptions} options
 */
export async function runMany(options) {
  const { shape, manyAdapters: count, wave } = options;
  const modelPath = await ensureModel(shape);
  const adapters = await ensureAdapters(shape, RANKS, count);
  const resident = Math.min(RESIDENT, Math.ceil(count / 4));
  const env = {
    ...productEnvironment(options),
    ADAPTER_CACHE_BYTES: String(resident * (await bytesOfOne(adapters))),
  };
  const product = await Product.start({
    title: `starting Lorikeet with room for ${resident} adapters`,
    modelPath,
    env,
  });
  try {
    await product.uploadAdapters(adapters);
    const common = {
      vocabulary: shape.vocabulary,
      promptTokens: wave.promptTokens,
      newTokens: wave.newTokens,
    };
    const first = makeRequests({ ...common, seed: 1, count: wave.count, popularity: 'none', adapters: 0 });
    const { figures } = await runWave(product, first);
    const perSecond = (figures.tokensPerSecond / wave.newTokens) * LOAD;
    const arrivals = poissonArrivals(perSecond, options.secondsPerRate * 3, seededRandom(2));
    const load = { ...common, seed: 3, count: arrivals.length };
    const title = (/** @type {string} */ what) =>
      `${short(perSecond)} requests/s for ${options.secondsPerRate * 3} s, ${what}`;
    const base = await step(title('no adapter'), () =>
      runOpenLoop(product, makeRequests({ ...load, popularity: 'none', adapters: 0 }), arrivals),
    );
    const zipf = await step(title(`${count} adapters by Zipf`), () =>
      runOpenLoop(product, makeRequests({ ...load, popularity: 'zipf', adapters: count }), arrivals),
    );
    say(
      `  ${short(zipf.engine.adapterLoads ?? 0)} loads, ${short(zipf.engine.adapterEvictions ?? 0)} evictions`,
    );
    return { registered: count, resident, perSecond, base, zipf };
  } finally {
    await product.stop();
  }
}

/** @param {readonly import('../models/generate.mjs').BenchAdapter[]} adapters */
async function bytesOfOne(adapters) {
  const { statSync } = await import('node:fs');
  const sizes = adapters
    .slice(0, 1)
    .map(({ folder }) => statSync(`${folder}/adapter_model.safetensors`).size);
  return Math.ceil((summary(sizes)?.max ?? 0) * 1.1);
}

/** @param {{ machine: any, load: any, options: object, result: Awaited<ReturnType<typeof runMany>> }} run */
export function manyMarkdown({ machine, load, options, result }) {
  const { registered, resident, perSecond, base, zipf } = result;
  const row = (/** @type {string} */ name, /** @type {typeof base} */ { figures, engine }) => [
    name,
    figures.tokensPerSecond,
    figures.ttft_ms?.p50,
    figures.ttft_ms?.p99,
    figures.ttft_ms?.max,
    figures.tpot_ms?.p50,
    figures.tpot_ms?.p99,
    engine.adapterLoads,
    engine.adapterEvictions,
    engine.adapterLoadMean_ms,
    Object.entries(figures.faults)
      .map(([fault, count]) => `${count} ${fault}`)
      .join(', ') || 'none',
  ];
  const head = [
    'traffic',
    'tokens/s',
    'TTFT p50',
    'p99',
    'max',
    'TPOT p50',
    'p99',
    'loads',
    'evictions',
    'load ms',
    'faults',
  ];
  return [
    `# ${registered} registered adapters, room for ${resident}`,
    conditions(machine, { load: loadLine(load), options: `\`${JSON.stringify(options)}\`` }),
    `Open loop at ${short(perSecond)} requests/s, half of what a wave reaches. Same arrivals and prompts in both rows.`,
    markdownTable(head, [row('no adapter', base), row('Zipf 1.5', zipf)]),
  ].join('\n\n');
}
