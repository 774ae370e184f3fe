import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { inspectModel, openModel } from '#native-engine/load.js';
import type { KvDtype } from '#native-engine/native.js';
import { eagerDrafts } from '../support/eager-drafts.js';
import { loadGolden } from '../support/golden.js';
import { type Answer, answers, answerTo, expectOnePass, requestOf } from '../support/one-pass.js';
import { ParityFixture, type ParityFixtureOptions } from '../support/parity-fixture.js';

/*
 * Models whose layers keep a state of their sequence (recurrent/, made by make_adapters.py): whatever the engine shares,
 * drops, guesses and computes again, an answer has the bits that one pass over its tokens gives.
 */

const DENSE = loadGolden('recurrent/dense');
const NEXT = loadGolden('recurrent/next');
const LONG = DENSE.prompts[1] as readonly number[];

let fixture: ParityFixture | undefined;
afterEach(async () => {
  await fixture?.close();
  fixture = undefined;
});
const open = async (options: ParityFixtureOptions): Promise<ParityFixture> =>
  (fixture = await ParityFixture.open({ textPolicy: eagerDrafts(8), ...options }));

describe.each([DENSE, NEXT])('$name in the engine', ({ modelPath }) => {
  it('finds a prefix at any token of it', async () => {
    const opened = await open({ modelPath });
    const first = await answerTo(opened, requestOf(LONG));
    await expectOnePass(modelPath, LONG, first);
    const again = await answerTo(opened, requestOf(LONG));
    expect(again).toMatchObject({ ids: first.ids, logprobs: first.logprobs, cached: LONG.length - 1 });
    for (const shared of [16, 21, 32, 37, 44]) {
      const other = [...LONG.slice(0, shared), 11, 12, 13];
      const answer = await answerTo(opened, requestOf(other));
      expect(answer.cached, `${shared}`).toBeGreaterThanOrEqual(shared);
      await expectOnePass(modelPath, other, answer);
    }
    const whole = [...LONG, ...first.ids];
    const goesOn = await answerTo(opened, requestOf([...whole, 14]));
    expect(goesOn.cached).toBeGreaterThanOrEqual(whole.length - 1);
    await expectOnePass(modelPath, [...whole, 14], goesOn);
  });

  it('computes a prompt in pieces beside others', async () => {
    const opened = await open({ modelPath, env: { MAX_STEP_TOKENS: '16' } });
    const prompts = [LONG, LONG.slice(3), LONG.slice(20)];
    const found = await Promise.all(prompts.map((prompt) => answerTo(opened, requestOf(prompt))));
    for (const [i, prompt] of prompts.entries()) await expectOnePass(modelPath, prompt, found[i] as Answer);
  });

  it('takes pages from requests and computes them again', async () => {
    const { kvTokenBytes, kvStateBytes } = inspectModel(modelPath);
    const pageBytes = 16 * kvTokenBytes.f32 + kvStateBytes;
    const opened = await open({
      modelPath,
      env: { KV_CACHE_BYTES: String(9 * pageBytes), KV_CACHE_DTYPE: 'f32' },
    });
    const prompts = Array.from({ length: 6 }, (_, i) => [10 + i, ...LONG.slice(i)]);
    const found = await Promise.all(
      prompts.map((prompt) => answerTo(opened, requestOf(prompt, { maxTokens: 40 }))),
    );
    for (const [i, prompt] of prompts.entries()) await expectOnePass(modelPath, prompt, found[i] as Answer);
    expect(await opened.metric('lorikeet_engine_preemptions_total')).toBeGreaterThan(0);
  });

  it('drops guesses that were wrong', async () => {
    const opened = await open({ modelPath });
    const plain = await answerTo(opened, requestOf(LONG));
    const words = plain.text;
    for (const prediction of [words, words.slice(0, 9) + words.slice(11), `x${words}`]) {
      const guessed = await answerTo(opened, requestOf(LONG, { cacheSalt: prediction, prediction }));
      expect(guessed).toMatchObject({ ids: plain.ids, logprobs: plain.logprobs });
    }
    const repeated = [...LONG.slice(0, 12), ...LONG.slice(0, 12), ...LONG.slice(0, 12)];
    const speculation = { ngram: { maxDraft: 5, minMatch: 1 } };
    await expectOnePass(
      modelPath,
      repeated,
      await answerTo(opened, requestOf(repeated, { speculation, maxTokens: 60 })),
    );
  });

  it('searches with beams', async () => {
    const opened = await open({ modelPath });
    const request = requestOf(LONG, {
      n: 4,
      beam: { lengthPenalty: 1, earlyStopping: false },
      maxTokens: 20,
    });
    for (const answer of await answers(opened, request)) await expectOnePass(modelPath, LONG, answer);
  });
});

it.each([DENSE, NEXT])('guesses by $name as a draft model', async (draft) => {
  const { modelPath } = DENSE;
  const opened = await open({
    modelPath,
    env: { DRAFT_MODEL_PATH: draft.modelPath },
    draftPolicy: eagerDrafts(),
  });
  const prompts = [LONG, LONG.slice(5)];
  const found = await Promise.all(
    prompts.map((prompt) => answerTo(opened, requestOf(prompt, { maxTokens: 40 }))),
  );
  for (const [i, prompt] of prompts.entries()) await expectOnePass(modelPath, prompt, found[i] as Answer);
  expect(await opened.metric('lorikeet_engine_speculation_drafted_tokens_total')).toBeGreaterThan(0);
});

it.each(['f32', 'f16', 'bf16', 'int8'] as const)(
  'counts the bytes of a page in %s to the last',
  async (dtype) => {
    const { kvTokenBytes, kvStateBytes } = inspectModel(DENSE.modelPath);
    // Two recurrent layers of 3 heads [8, 12]; a token puts in 2 * 8 + 3 * 12 numbers and two of each head.
    expect(kvStateBytes).toBe(2 * 4 * (16 + 3 * 8 * 12));
    const sizes: Record<KvDtype, number> = { f32: 4 * 16, f16: 2 * 16, bf16: 2 * 16, int8: 16 + 4 };
    const tokenBytes = 2 * 4 * (2 * 8 + 3 * 12 + 2 * 3) + 2 * 2 * sizes[dtype];
    expect(kvTokenBytes[dtype]).toBe(tokenBytes);
    const pageBytes = 16 * tokenBytes + kvStateBytes;
    const model = await openModel({
      modelPath: DENSE.modelPath,
      backend: 'cpu',
      threads: 1,
      quantization: 'none',
      maxStepTokens: 8,
      maxSequences: 1,
      kv: { bytes: 10 * pageBytes, pageTokens: 16, dtype },
    });
    try {
      expect(model.description).toMatchObject({ kvPages: 10, kvBytesPerPage: pageBytes });
      expect(model.memory().kvBytes).toBe(10 * pageBytes);
    } finally {
      await model.close();
    }
  },
);

it('refuses an adapter of the convolution by name', async () => {
  const opened = await open({ modelPath: DENSE.modelPath });
  const folder = mkdtempSync(join(tmpdir(), 'lorikeet-conv-'));
  try {
    const source = join(DENSE.folder, 'adapters/all-linear');
    const config = JSON.parse(readFileSync(join(source, 'adapter_config.json'), 'utf8')) as object;
    mkdirSync(folder, { recursive: true });
    writeFileSync(
      join(folder, 'adapter_config.json'),
      JSON.stringify({ ...config, target_modules: ['conv1d', 'out_proj'] }),
    );
    const weights = readFileSync(join(source, 'adapter_model.safetensors'), 'latin1');
    // Spaces keep the header's length.
    writeFileSync(
      join(folder, 'adapter_model.safetensors'),
      weights.replace(/"([^"]*linear_attn\.)in_proj_a(\.[^"]*)"/g, '"$1conv1d$2"   '),
      'latin1',
    );
    await expect(opened.validate(folder)).rejects.toThrow(/conv1d/);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
