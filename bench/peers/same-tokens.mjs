import { say, step } from '../../scripts/lib/print.mjs';
import { StopError } from '../../scripts/lib/stop-error.mjs';
import { ensureGguf, ensureGgufAdapters } from '../models/generate.mjs';
import { short } from '../report.mjs';
import { Product } from '../serving/product.mjs';
import { productEnvironment } from '../serving/suite.mjs';
import { makeRequests } from '../serving/workload.mjs';
import { LlamaCppPeer } from './llama-cpp-peer.mjs';

/** @typedef {import('../options.mjs').BenchOptions} BenchOptions */
/** @typedef {import('../models/generate.mjs').BenchAdapter} BenchAdapter */

/**
 * The peer rounds activations to 16 bits, we do not: where the best two tokens are closer than this (in natural log of
 * probability), either may win. The logits' own deviation is about 0.9, so a wrong model misses by far more.
 */
export const NEAR_TIE = 0.1;
const CHECKED = { promptTokens: 48, newTokens: 12 };
const ADAPTERS_CHECKED = 2;

/**
 * @typedef {{ tokens: number, equal: number, nearTies: number, worstGap: number }} Agreement
 */

/**
 * How far each of the peer's greedy tokens lies below our best one, given the peer's own earlier tokens.
 * @param {readonly { given: number, best: number }[]} scores
 * @returns {Agreement}
 */
export function agreement(scores) {
  const gaps = scores.map(({ given, best }) => best - given);
  return {
    tokens: gaps.length,
    equal: gaps.filter((gap) => gap === 0).length,
    nearTies: gaps.filter((gap) => gap > 0 && gap <= NEAR_TIE).length,
    worstGap: Math.max(...gaps),
  };
}

/**
 * Both sides on the same 16-bit weights, with no adapter and with two: the peer generates greedily, we score what it
 * wrote. Throws when any token is not our best one or its near tie.
 * @param {BenchOptions} options @param {readonly BenchAdapter[]} adapters @param {string} modelPath
 */
export async function checkSameTokens(options, adapters, modelPath) {
  const checked = adapters.slice(0, ADAPTERS_CHECKED);
  const written = await step('llama.cpp writes greedy tokens from the same 16-bit weights', () =>
    peerTokens(options, checked),
  );
  const product = await Product.start({
    title: 'starting Lorikeet with unquantized weights to score them',
    modelPath,
    env: productEnvironment({ ...options, format: 'none' }),
  });
  try {
    await product.uploadAdapters(checked);
    const scores = [];
    const control = []; // random tokens, which must not pass
    for (const { prompt, tokens, adapter } of written) {
      const all = await product.scoreTokens([...prompt, ...tokens], adapter);
      scores.push(...all.slice(-tokens.length));
      control.push(...all.slice(0, prompt.length - 1));
    }
    const result = agreement(scores);
    say(
      `  same tokens: ${result.equal} of ${result.tokens} equal, ${result.nearTies} near ties, worst gap ${short(result.worstGap)}`,
    );
    if (result.worstGap > NEAR_TIE) {
      throw new StopError(
        `The two sides do not compute the same: a token of the peer lies ${short(result.worstGap)} below our best (allowed ${NEAR_TIE}). Nothing is compared.`,
      );
    }
    if (
      new Set(written.map(({ tokens }) => tokens.join())).size < written.length ||
      agreement(control).worstGap <= NEAR_TIE
    ) {
      throw new StopError(
        'The check proves nothing: different prompts or adapters gave the same tokens, or random tokens pass too.',
      );
    }
    return { ...result, controlEqual: agreement(control).equal, controlTokens: control.length };
  } finally {
    await product.stop();
  }
}

/** @param {BenchOptions} options @param {readonly BenchAdapter[]} adapters */
async function peerTokens({ shape, threads }, adapters) {
  const paths = await ensureGgufAdapters(shape, adapters, 'f16');
  const targets = [undefined, ...adapters.keys()];
  const prompts = makeRequests({
    ...CHECKED,
    seed: 77,
    count: targets.length * 2,
    vocabulary: shape.vocabulary,
    popularity: 'none',
    adapters: 0,
  });
  const peer = new LlamaCppPeer();
  try {
    // f16 holds every bf16 weight of this size exactly and rounds activations less than bf16.
    const modelPath = await ensureGguf(shape, 'f16');
    await peer.open({
      modelPath,
      threads,
      flashAttention: true,
      batchSize: 512,
      sequences: 1,
      contextTokens: 256,
    });
    const requests = prompts.map(({ prompt, newTokens }, i) => {
      const adapter = targets[i % targets.length];
      return {
        prompt,
        maxTokens: newTokens,
        adapter,
        adapterPath: adapter === undefined ? null : (paths[adapter] ?? null),
      };
    });
    const { results } = await peer.wave(requests);
    return requests.map(({ prompt, adapter }, i) => ({ prompt, adapter, tokens: results[i]?.tokens ?? [] }));
  } finally {
    await peer.close();
  }
}
