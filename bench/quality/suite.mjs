import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Tokenizer } from '#serving/text/tokenizer.js';
import { inRepository } from '../../scripts/lib/paths.mjs';
import { step } from '../../scripts/lib/print.mjs';
import { manifestOf } from '../load/manifest.mjs';
import { conditions, loadLine, markdownTable } from '../report.mjs';
import { Engine } from './engine.mjs';

/** Of the base's weights, of the KV cache and of the adapters. @typedef {{ format: string, cache: string, adapters: string }} Kept */

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
];
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
  for (const { format, cache, adapters } of kept) {
    rows.push(
      await step(`the demo model in ${format}, cache in ${cache}, adapters ${adapters}`, () =>
        measure({ basePath, format, cache, adapters, threads, examples, tokenizer }),
      ),
    );
  }
  return { examples: examples.length, rows };
}

/** @param {Kept & { basePath: string, threads: number, examples: readonly Example[], tokenizer: Tokenizer }} what @returns {Promise<Quality>} */
async function measure({ basePath, format, cache, adapters, threads, examples, tokenizer }) {
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
        'format',
        'KV cache',
        'adapters',
        'weights, MiB',
        'adapters, MiB',
        'perplexity of prompts',
        'of answers',
        ...names,
        'mean',
      ],
      result.rows.map(({ format, cache, adapters, weightBytes, adapterBytes, ...row }) => [
        format,
        cache,
        adapters,
        (weightBytes / 2 ** 20).toFixed(2),
        (adapterBytes / 2 ** 20).toFixed(2),
        row.promptPerplexity.toFixed(4),
        row.answerPerplexity.toFixed(4),
        ...names.map((name) => percent(row.matches[name] ?? Number.NaN)),
        percent(row.mean),
      ]),
    ),
  ].join('\n\n');
}
