import { say } from '../../scripts/lib/print.mjs';
import { ensureModel } from '../models/generate.mjs';
import { conditions, loadLine, markdownTable, short, shortSpread } from '../report.mjs';
import { pairedRatio, spread } from '../statistics.mjs';
import { Product } from './product.mjs';
import { runWave } from './run-load.mjs';
import { productEnvironment } from './suite.mjs';
import { makeRequests } from './workload.mjs';

/** @typedef {import('../options.mjs').BenchOptions} BenchOptions */

const REQUESTS = 16;
/** Enough that steps, not prompts, are what is compared. */
const NEW_TOKENS = 128;
const PROMPT_TOKENS = 32;
/** Structures that no request has wished for before. */
const NEW_STRUCTURES = 40;

/** @param {number} variant  makes it another schema */
const itemOf = (variant) => ({
  type: 'object',
  properties: {
    id: { type: 'integer', minimum: 0, maximum: 9_999 + variant },
    name: { type: 'string' },
    kind: { enum: ['bird', 'tree', 'stone', `kind ${variant}`] },
    tags: { type: 'array', items: { type: 'string' } },
    score: { type: 'number' },
  },
  required: ['id', 'name', 'kind', 'tags', 'score'],
  additionalProperties: false,
});
/** Answers that go on for longer than they may. */
const many = (/** @type {object} */ items) => ({ guided_json: { type: 'array', minItems: 200, items } });

const FORMS = {
  'JSON of a schema': () => many(itemOf(0)),
  'any JSON objects': () => many({ type: 'object' }),
  'a grammar with a counted rule': () => ({ guided_grammar: 'root ::= word{200,}\nword ::= [a-z]{1,8} " "' }),
};

/**
 * The same requests with a structure and without, in turn.
 * @param {BenchOptions} options
 */
export async function runGuided(options) {
  const { shape, rounds } = options;
  const modelPath = await ensureModel(shape);
  const env = productEnvironment(options);
  const product = await Product.start({ title: `starting Lorikeet (${shape.name})`, modelPath, env });
  let seed = 1;
  const wave = async (
    /** @type {Record<string, unknown> | undefined} */ fields,
    count = REQUESTS,
    newTokens = NEW_TOKENS,
  ) => {
    const common = { promptTokens: PROMPT_TOKENS, vocabulary: shape.vocabulary };
    const requests = makeRequests({
      ...common,
      seed: seed++,
      count,
      newTokens,
      popularity: 'none',
      adapters: 0,
    });
    return runWave(
      product,
      requests.map((request) => (fields ? { ...request, fields } : request)),
    );
  };
  try {
    await wave(undefined);
    const first_ms = await newStructures(wave, 1, 1);
    const forms = [];
    for (const [name, fieldsOf] of Object.entries(FORMS)) {
      await wave(undefined);
      await wave(fieldsOf());
      /** @type {Awaited<ReturnType<typeof wave>>[]} */
      const free = [];
      /** @type {Awaited<ReturnType<typeof wave>>[]} */
      const held = [];
      for (let round = 0; round < rounds; round++) {
        free.push(await wave(undefined));
        held.push(await wave(fieldsOf()));
      }
      const rates = (/** @type {typeof held} */ waves) => waves.map(({ figures }) => figures.tokensPerSecond);
      const tokens = rounds * REQUESTS * NEW_TOKENS;
      forms.push({
        name,
        free: spread(rates(free)),
        held: spread(rates(held)),
        ratio: pairedRatio(rates(held), rates(free)),
        mask_us: spread(held.map(({ engine }) => (engine.maskMean_ms ?? Number.NaN) * 1000)),
        lateShare: held.reduce((sum, { engine }) => sum + (engine.lateMasks ?? 0), 0) / tokens,
      });
      say(`  ${name}: ${short(forms.at(-1)?.ratio.median ?? Number.NaN)} of the tokens/s without`);
    }
    const compile_ms = await newStructures(wave, NEW_STRUCTURES, 2);
    return { forms, first_ms, compile_ms };
  } finally {
    await product.stop();
  }
}

/**
 * Work for one structure that was not known, on average.
 * @param {(fields: Record<string, unknown>, count: number, newTokens: number) => ReturnType<typeof runWave>} wave
 * @param {number} structures
 * @param {number} firstVariant
 */
async function newStructures(wave, structures, firstVariant) {
  let seconds = 0;
  for (let i = 0; i < structures; i++) {
    const { engine } = await wave({ guided_json: itemOf(firstVariant + i) }, 1, 2);
    seconds += engine.structure_s ?? 0;
  }
  return (seconds / structures) * 1000;
}

/** @param {{ machine: any, load: any, options: object, result: Awaited<ReturnType<typeof runGuided>> }} run */
export function guidedMarkdown({ machine, load, options, result: { forms, first_ms, compile_ms } }) {
  const head = ['structure', 'tokens/s without', 'with', 'ratio', 'mask, us', 'masks that came late'];
  const rows = forms.map(({ name, free, held, ratio, mask_us, lateShare }) => [
    name,
    shortSpread(free),
    shortSpread(held),
    shortSpread(ratio),
    shortSpread(mask_us),
    `${short(lateShare * 100)} %`,
  ]);
  return [
    `# ${REQUESTS} of ${REQUESTS} requests with a structure`,
    conditions(machine, { load: loadLine(load), options: `\`${JSON.stringify(options)}\`` }),
    `Waves of ${REQUESTS} requests, ${PROMPT_TOKENS} prompt tokens and ${NEW_TOKENS} new ones, with the structure and without in turn.`,
    markdownTable(head, rows),
    `A structure that was not known took ${short(compile_ms)} ms of work to translate and compile, the mean of ${NEW_STRUCTURES}; the very first of the engine's process ${short(first_ms)} ms.`,
  ].join('\n\n');
}
