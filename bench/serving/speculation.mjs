import { say } from '../../scripts/lib/print.mjs';
import { ensureDrafts } from '../models/generate.mjs';
import { conditions, loadLine, markdownTable, short, shortSpread } from '../report.mjs';
import { pairedRatio, spread } from '../statistics.mjs';
import { Product } from './product.mjs';
import { runWave } from './run-load.mjs';
import { productEnvironment } from './suite.mjs';
import { makeRequests } from './workload.mjs';

/** @typedef {import('../options.mjs').BenchOptions} BenchOptions */

const AT_ONCE = [1, 4, 32];
/** Long enough that steps, not prompts, are what is compared. */
const NEW_TOKENS = 192;
const PROMPT_TOKENS = 64;
/** A wave of few takes a second or so, and from one to the next the machine may be half as fast: then many are compared. */
const WAVES = { few: 15, many: 5 };
const MANY = 16;
const OFF = { speculation: {} };
const ON = { speculation: { draft: { max_draft: 8 } } };

/** @param {BenchOptions} options */
export async function runSpeculation(options) {
  const { shape } = options;
  const { model, right, wrong } = await ensureDrafts(shape);
  const drafts = [];
  for (const [name, path] of /** @type {const} */ ([
    ['always right', right],
    ['never right', wrong],
  ])) {
    const env = { ...productEnvironment(options), DRAFT_MODEL_PATH: path };
    const title = `starting Lorikeet (${shape.name}) with a draft model that is ${name}`;
    const product = await Product.start({ title, modelPath: model, env });
    try {
      for (const count of AT_ONCE) drafts.push({ name, count, ...(await compare(product, count, options)) });
    } finally {
      await product.stop();
    }
  }
  return { drafts };
}

/** @param {Product} product @param {number} count @param {BenchOptions} options */
async function compare(product, count, { shape, rounds, quick }) {
  let seed = count * 1000;
  const wave = async (/** @type {Record<string, unknown>} */ fields) => {
    const requests = makeRequests({
      promptTokens: PROMPT_TOKENS,
      vocabulary: shape.vocabulary,
      seed: seed++,
      count,
      newTokens: quick ? 32 : NEW_TOKENS,
      popularity: 'none',
      adapters: 0,
    });
    const { figures } = await runWave(
      product,
      requests.map((request) => ({ ...request, fields })),
    );
    return figures.tokensPerSecond;
  };
  await wave(OFF);
  await wave(ON);
  /** @type {number[]} */
  const off = [];
  /** @type {number[]} */
  const on = [];
  const waves = quick ? rounds : Math.max(rounds, count < MANY ? WAVES.few : WAVES.many);
  for (let round = 0; round < waves; round++) {
    off.push(await wave(OFF));
    on.push(await wave(ON));
  }
  const ratio = pairedRatio(on, off);
  say(`  ${count} at once: ${short(ratio.median)} of the tokens/s without`);
  return { off: spread(off), on: spread(on), ratio };
}

/** @param {{ machine: any, load: any, options: object, result: Awaited<ReturnType<typeof runSpeculation>> }} run */
export function speculationMarkdown({ machine, load, options, result: { drafts } }) {
  const rows = drafts.map(({ name, count, off, on, ratio }) => [
    name,
    String(count),
    shortSpread(off),
    shortSpread(on),
    shortSpread(ratio),
  ]);
  return [
    '# A draft model',
    conditions(machine, { load: loadLine(load), options: `\`${JSON.stringify(options)}\`` }),
    `Waves of ${PROMPT_TOKENS} prompt tokens and ${NEW_TOKENS} new ones, with the draft model and without in turn.`,
    markdownTable(['guesses', 'at once', 'tokens/s without', 'with', 'ratio'], rows),
  ].join('\n\n');
}
