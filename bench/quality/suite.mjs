import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Tokenizer } from '#serving/text/tokenizer.js';
import { inRepository } from '../../scripts/lib/paths.mjs';
import { step } from '../../scripts/lib/print.mjs';
import { manifestOf } from '../load/manifest.mjs';
import { writeGgufModel } from '../models/gguf-model.mjs';
import { PACKED, writePackedModel } from '../models/packed-model.mjs';
import { conditions, loadLine, markdownTable } from '../report.mjs';
import { Engine } from './engine.mjs';

/**
 * Of the base's checkpoint, of its weights, of the KV cache and of the adapters. Without a checkpoint it is the demo's own, in bf16.
 * @typedef {{ checkpoint?: string, format: string, cache: string, adapters: string }} Kept
 */

const GGUF = /** @type {const} */ (['q8_0', 'q4_0']);

/** @type {readonly Kept[]} */
export const KEPT = [
  ...['none', 'int8', 'int4', 'nf4'].map((format) => ({ format, cache: 'f32', adapters: 'stored' })),
  { format: 'none', cache: 'bf16', adapters: 'stored' },
  { format: 'none', cache: 'int8', adapters: 'stored' },
  { format: 'none', cache: 'f32', adapters: 'bf16' },
  { format: 'none', cache: 'f32', adapters: 'int8' },
  { format: 'int4', cache: 'bf16', adapters: 'bf16' }, // what auto takes
  { format: 'int4', cache: 'bf16', adapters: 'int8' },
  { format: 'int4', cache: 'int8', adapters: 'bf16' },
  ...GGUF.map((type) => ({ checkpoint: `GGUF ${type}`, format: 'none', cache: 'f32', adapters: 'stored' })),
  ...PACKED.flatMap((checkpoint) =>
    ['none', 'int8'].map((format) => ({ checkpoint, format, cache: 'f32', adapters: 'stored' })),
  ),
];
/** The demo, as the writers of models that are measured know shapes. @type {import('../models/shapes.mjs').Shape} */
const DEMO_SHAPE = {
  name: 'demo',
  hidden: 256,
  layers: 4,
  heads: 4,
  kvHeads: 2,
  headDim: 64,
  ffn: 640,
  vocabulary: 2048,
  tied: true,
  ropeTheta: 10_000,
};
const NEW_TOKENS = 80;
const BATCH = 50;
/** alpha / r, and alpha / sqrt(r) for the rank-stabilized one: the same for all four. */
const SCALE = 2;
const demo = inRepository('models', 'demo');

/** @typedef {{ adapter: string, messages: { role: string, content: string }[], expected: string }} Example */
/** @typedef {Kept & { weightBytes: number, adapterBytes: number, promptPerplexity: number, answerPerplexity: number, matches: Record<string, number>, mean: number }} Quality */

/** The demo model's accuracy in every format and with every cache, on examples that neither base nor adapters were trained on. @param {{ threads: number, basePath?: string, kept?: readonly Kept[] }} options */
export async function runQuality({ threads, basePath = join(demo, 'base'), kept = KEPT }) {
  const examples = /** @type {Example[]} */ (
    JSON.parse(readFileSync(join(demo, 'eval/heldout.json'), 'utf8'))
  );
  const tokenizer = await Tokenizer.load(join(demo, 'base'));
  const rows = [];
  const folder = mkdtempSync(join(tmpdir(), 'lorikeet-quality-'));
  try {
    for (const { checkpoint, format, cache, adapters } of kept) {
      const path = checkpoint === undefined ? basePath : packedDemo(basePath, folder, checkpoint);
      rows.push(
        await step(
          `the demo model (${checkpoint ?? 'bf16'}) in ${format}, cache in ${cache}, adapters ${adapters}`,
          () =>
            measure({ basePath: path, checkpoint, format, cache, adapters, threads, examples, tokenizer }),
        ),
      );
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
  return { examples: examples.length, rows };
}

/** @param {string} basePath @param {string} folder  that its files go to @param {string} checkpoint */
function packedDemo(basePath, folder, checkpoint) {
  const gguf = GGUF.find((type) => checkpoint === `GGUF ${type}`);
  if (gguf !== undefined) {
    const path = join(folder, `${gguf}.gguf`);
    writeGgufModel({ shape: DEMO_SHAPE, checkpoint: join(basePath, 'model.safetensors'), path, type: gguf });
    return path;
  }
  const to = join(folder, checkpoint);
  const format = /** @type {import('../models/packed-model.mjs').PackedFormat} */ (checkpoint);
  writePackedModel({ from: basePath, to, format });
  return to;
}

/** @param {Kept & { basePath: string, threads: number, examples: readonly Example[], tokenizer: Tokenizer }} what @returns {Promise<Quality>} */
async function measure({ basePath, checkpoint, format, cache, adapters, threads, examples, tokenizer }) {
  const engine = await Engine.open(basePath, { quantization: format, cache, adapters, threads });
  const prompt = { sum: 0, count: 0 };
  const answer = { sum: 0, count: 0 };
  const matches = /** @type {Record<string, number>} */ ({});
  for (const name of new Set(examples.map(({ adapter }) => adapter))) {
    const own = await encode(
      examples.filter(({ adapter }) => adapter === name),
      tokenizer,
    );
    const handle = await engine.load(manifestOf(join(demo, 'adapters', name), SCALE));
    for (const { ids, reply } of own) {
      add(prompt, await engine.score(ids, 1));
      add(answer, await engine.score([...ids, ...reply], ids.length, handle));
    }
    let right = 0;
    for (let at = 0; at < own.length; at += BATCH) {
      const batch = own.slice(at, at + BATCH);
      const replies = await engine.generate(
        batch.map(({ ids }) => ids),
        NEW_TOKENS,
        handle,
      );
      right += batch.filter(({ expected }, i) => textOf(replies[i] ?? [], tokenizer) === expected).length;
    }
    matches[name] = right / own.length;
  }
  const { weightBytes, adapterBytes } = engine;
  await engine.close();
  const perplexity = (/** @type {{ sum: number, count: number }} */ { sum, count }) => Math.exp(-sum / count);
  const mean = Object.values(matches).reduce((a, b) => a + b, 0) / Object.keys(matches).length;
  return {
    ...(checkpoint === undefined ? {} : { checkpoint }),
    format,
    cache,
    adapters,
    weightBytes,
    adapterBytes,
    promptPerplexity: perplexity(prompt),
    answerPerplexity: perplexity(answer),
    matches,
    mean,
  };
}

/** @param {readonly Example[]} examples @param {Tokenizer} tokenizer */
function encode(examples, tokenizer) {
  return Promise.all(
    examples.map(async ({ messages, expected }) => {
      const turns = messages.map(({ role, content }) => `<|${role}|>${content}<|end|>`).join('');
      const { ids } = await tokenizer.encode(`<|bos|>${turns}<|assistant|>`, false);
      const { ids: reply } = await tokenizer.encode(`${expected}<|end|>`, false);
      return { ids: [...ids], reply: [...reply], expected };
    }),
  );
}

/** @param {{ sum: number, count: number }} total @param {readonly number[]} logprobs */
function add(total, logprobs) {
  for (const logprob of logprobs) total.sum += logprob;
  total.count += logprobs.length;
}

/** @param {readonly number[]} tokens @param {Tokenizer} tokenizer */
function textOf(tokens, tokenizer) {
  const end = tokens.indexOf(tokenizer.idOf('<|end|>') ?? -1);
  const reply = end < 0 ? tokens : tokens.slice(0, end);
  return Buffer.concat(reply.map((token) => tokenizer.bytesOf(token))).toString();
}

/** @param {{ machine: any, load: any, options: object, result: Awaited<ReturnType<typeof runQuality>> }} run */
export function qualityMarkdown({ machine, load, result }) {
  const names = Object.keys(result.rows[0]?.matches ?? {});
  const percent = (/** @type {number} */ share) => `${(share * 100).toFixed(1)} %`;
  return [
    '# Quality of quantized bases, caches and adapters',
    conditions(machine, { load: loadLine(load) }),
    `The demo model and its four adapters on ${result.examples} held-out examples. Perplexity per token: of the prompts under the base alone, of the expected answers under the adapters. Exact match: greedy answers that equal the expected one.`,
    markdownTable(
      [
        'checkpoint',
        'QUANTIZATION',
        'KV cache',
        'adapters',
        'weights, MiB',
        'adapters, MiB',
        'perplexity of prompts',
        'of answers',
        ...names,
        'mean',
      ],
      result.rows.map(
        ({ checkpoint = 'bf16', format, cache, adapters, weightBytes, adapterBytes, ...row }) => [
          checkpoint,
          format,
          cache,
          adapters,
          (weightBytes / 2 ** 20).toFixed(2),
          (adapterBytes / 2 ** 20).toFixed(2),
          row.promptPerplexity.toFixed(4),
          row.answerPerplexity.toFixed(4),
          ...names.map((name) => percent(row.matches[name] ?? Number.NaN)),
          percent(row.mean),
        ],
      ),
    ),
  ].join('\n\n');
}
