import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { inspectModel } from '#native-engine/load.js';
import { answerTo, expectOnePass, requestOf } from '../support/one-pass.js';
import { ParityFixture, type ParityFixtureOptions } from '../support/parity-fixture.js';

/*
 * Families whose layers see the cache in other ways than Llama's: keys and values of another layer, in windows or chunks, of
 * latents, inputs of convolutions. Whatever the engine shares, drops and computes again, an answer has the bits that one pass
 * over its tokens gives.
 */

const GOLDEN = import.meta.dirname;
/** Of tokens that all of these models have. */
const PROMPT = Array.from({ length: 45 }, (_, i) => 3 + ((i * 29 + (i >> 3)) % 90));

let fixture: ParityFixture | undefined;
afterEach(async () => {
  await fixture?.close();
  fixture = undefined;
});
const open = async (options: ParityFixtureOptions): Promise<ParityFixture> =>
  (fixture = await ParityFixture.open(options));

describe.each(['gemma4-e2b', 'gemma4-31b', 'lfm2', 'deepseek-v3', 'llama4'])('%s in the engine', (name) => {
  let modelPath: string;
  beforeAll(() => {
    modelPath = mkdtempSync(join(tmpdir(), 'lorikeet-shared-pages-'));
    for (const file of ['config.json', 'model.safetensors'])
      copyFileSync(join(GOLDEN, 'families', name, 'model', file), join(modelPath, file));
    for (const file of ['tokenizer.json', 'tokenizer_config.json'])
      copyFileSync(join(GOLDEN, 'recurrent/dense/model', file), join(modelPath, file));
  });
  afterAll(() => rmSync(modelPath, { recursive: true }));

  it('finds a prefix at any token of it', async () => {
    const opened = await open({ modelPath });
    const first = await answerTo(opened, requestOf(PROMPT));
    await expectOnePass(modelPath, PROMPT, first);
    const again = await answerTo(opened, requestOf(PROMPT));
    expect(again).toMatchObject({ ids: first.ids, logprobs: first.logprobs, cached: PROMPT.length - 1 });
    for (const shared of [16, 21, 32, 37, 44]) {
      const other = [...PROMPT.slice(0, shared), 11, 12, 13];
      const answer = await answerTo(opened, requestOf(other));
      expect(answer.cached, `${shared}`).toBeGreaterThanOrEqual(shared);
      await expectOnePass(modelPath, other, answer);
    }
  });

  it('computes a prompt in pieces beside others', async () => {
    const opened = await open({ modelPath, env: { MAX_STEP_TOKENS: '16' } });
    const prompts = [PROMPT, PROMPT.slice(3), PROMPT.slice(20)];
    const found = await Promise.all(prompts.map((prompt) => answerTo(opened, requestOf(prompt))));
    for (const [i, answer] of found.entries()) await expectOnePass(modelPath, prompts[i] ?? [], answer);
  });

  it('takes pages from requests and computes them again', async () => {
    const { kvTokenBytes, kvStateBytes } = inspectModel(modelPath);
    const pageBytes = 16 * kvTokenBytes.f32 + kvStateBytes;
    const opened = await open({
      modelPath,
      env: { KV_CACHE_BYTES: String(9 * pageBytes), KV_CACHE_DTYPE: 'f32' },
    });
    const prompts = Array.from({ length: 6 }, (_, i) => [10 + i, ...PROMPT.slice(i)]);
    const found = await Promise.all(
      prompts.map((prompt) => answerTo(opened, requestOf(prompt, { maxTokens: 40 }))),
    );
    for (const [i, answer] of found.entries()) await expectOnePass(modelPath, prompts[i] ?? [], answer);
    expect(await opened.metric('lorikeet_engine_preemptions_total')).toBeGreaterThan(0);
  });
});
