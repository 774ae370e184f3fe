import {
  copyFileSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { inspectModel, openModel } from '#native-engine/load.js';
import type { NativeModel } from '#native-engine/native.js';
import { comparableTokens, type GoldenRun, loadGolden } from '../support/golden.js';
import { modulesOf } from '../support/golden-modules.js';
import { type DriverLimits, StepDriver } from '../support/step-driver.js';

/*
 * Every family against Transformers + PEFT (make/make_families.py): tiny models of random weights, read, adapted and
 * computed by the native engine.
 */

const FAMILIES = join(import.meta.dirname, 'families');
/** Those that golden-models.test.ts asks over HTTP, too. */
const CASES = join(import.meta.dirname, 'cases');
/** Adapters of experts and routers, of models of both (make_experts.py). */
const EXPERTS = join(import.meta.dirname, 'experts');
/** Fused projections on bases that have them apart, and the other way round (make_crosswise.py). */
const CROSSWISE = join(import.meta.dirname, 'crosswise');
/** Models whose layers keep a state of their sequence (make_adapters.py). */
const RECURRENT = join(import.meta.dirname, 'recurrent');
const LIMITS: DriverLimits = { pageTokens: 16, maxStepTokens: 2048, maxSequences: 64, maxContext: 512 };
/** The product promises 0.02; float32 arithmetic on the same weights does better. */
const TOLERANCE = 2e-3;

interface Golden {
  readonly prompts: readonly (readonly number[])[];
  readonly runs: readonly GoldenRun[];
}

const open = (modelPath: string, backend: 'reference' | 'cpu'): Promise<NativeModel> =>
  openModel({
    modelPath,
    backend,
    threads: 2,
    quantization: 'none',
    maxStepTokens: LIMITS.maxStepTokens,
    maxSequences: LIMITS.maxSequences,
    kv: { bytes: 8 << 20, pageTokens: LIMITS.pageTokens, dtype: 'f32' },
  });

const families = readdirSync(FAMILIES).toSorted();

const settings = (['reference', 'cpu'] as const).flatMap((backend) => [
  ...families.map((name) => ({ backend, name: `families/${name}` })),
  ...readdirSync(CASES).map((name) => ({ backend, name: `cases/${name}` })),
  ...readdirSync(EXPERTS).map((name) => ({ backend, name: `experts/${name}` })),
  ...readdirSync(CROSSWISE).map((name) => ({ backend, name: `crosswise/${name}` })),
  ...readdirSync(RECURRENT, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => ({ backend, name: `recurrent/${name}` })),
]);

describe.each(settings)('$name on the $backend backend', ({ backend, name }) => {
  const golden = loadGolden(name);
  const handles = new Map<string | null, number | undefined>([[null, undefined]]);
  let model: NativeModel;
  let driver: StepDriver;

  const promptOf = (run: GoldenRun): readonly number[] => golden.prompts[run.prompt] as readonly number[];
  const sequenceOf = (run: GoldenRun) => driver.sequence(promptOf(run), handles.get(run.adapter));
  const where = (run: GoldenRun): string => `${run.adapter ?? 'base'}, prompt ${run.prompt}`;

  beforeAll(async () => {
    model = await open(golden.modelPath, backend);
    driver = new StepDriver(model, LIMITS);
    for (const { adapter } of golden.runs) {
      if (adapter === null || handles.has(adapter)) continue;
      const adapterFolder = join(golden.folder, 'adapters', adapter);
      const weightsPath = join(adapterFolder, 'adapter_model.safetensors');
      const spec = { weightsPath, modules: modulesOf(adapterFolder, model, LIMITS.maxContext) };
      handles.set(adapter, (await model.loadAdapter(spec)).handle);
    }
  });
  afterAll(() => model?.close());

  it('gives the log-probabilities of Transformers + PEFT', async () => {
    for (const run of golden.runs) {
      const tokens = [...promptOf(run), ...run.greedy_ids];
      const wanted = [...run.prompt_logprobs.slice(1), ...run.greedy_logprobs] as number[];
      const given = await driver.scorePrompt(tokens, handles.get(run.adapter));
      const worst = Math.max(...wanted.map((value, i) => Math.abs(value - (given[i] ?? Number.NaN))));
      expect(worst, `${where(run)}`).toBeLessThan(TOLERANCE);
    }
  });

  it('gives the same, to the bit, of a prompt in pieces', async () => {
    for (const run of golden.runs.filter(({ prompt }) => prompt === golden.prompts.length - 1)) {
      const whole = await driver.scorePrompt(promptOf(run), handles.get(run.adapter));
      expect(await driver.scorePrompt(promptOf(run), handles.get(run.adapter), 7), where(run)).toEqual(whole);
    }
  });

  it('continues as they do, all adapters in common steps, to the bit as each alone', async () => {
    const together = golden.runs.map(sequenceOf);
    const length = Math.max(...golden.runs.map((run) => run.greedy_ids.length));
    const samples = await driver.generate(together, length);
    for (const sequence of together) driver.release(sequence);
    for (const [i, run] of golden.runs.entries()) {
      const count = comparableTokens(run);
      const tokens = samples[i]?.slice(0, count).map(({ token }) => token);
      expect(tokens, `${where(run)}`).toEqual(run.greedy_ids.slice(0, count));
      const alone = sequenceOf(run);
      expect((await driver.generate([alone], length))[0], `${where(run)}`).toEqual(samples[i]);
      driver.release(alone);
    }
  });
});

it("counts keys and values that layers share once in a token's bytes", () => {
  const { kvTokenBytes } = inspectModel(join(FAMILIES, 'gemma4-e2b/model'));
  // Three of five layers have their own: 2 heads of 8, of 16 and of 8, keys and values.
  expect(kvTokenBytes).toMatchObject({ f32: 2 * 4 * (16 + 32 + 16), bf16: 2 * 2 * (16 + 32 + 16) });
});

it.each([
  ['leaves out keys that a layer never reads', 3, undefined],
  ['refuses keys that a layer would read elsewhere', 5, 'model.layers.5.self_attn.k_proj'],
])('of Gemma 4 %s', async (_, layer, refusal) => {
  const source = join(FAMILIES, 'gemma4-e2b/model');
  const folder = mkdtempSync(join(tmpdir(), 'lorikeet-family-'));
  try {
    copyFileSync(join(source, 'config.json'), join(folder, 'config.json'));
    const name = `model.layers.${layer}.self_attn.k_proj.weight`;
    const weights = withZeros(readFileSync(join(source, 'model.safetensors')), name, [16, 32]);
    writeFileSync(join(folder, 'model.safetensors'), weights);
    if (refusal !== undefined) return await expect(open(folder, 'reference')).rejects.toThrow(refusal);
    const model = await open(folder, 'reference');
    expect(model.description).toMatchObject({
      ignoredTensors: 1,
      unreadModules: [3, 4].flatMap((i) =>
        ['k_proj', 'v_proj'].map((map) => `model.layers.${i}.self_attn.${map}`),
      ),
    });
    await model.close();
  } finally {
    rmSync(folder, { recursive: true });
  }
});

it('says how much of a checkpoint with eyes it leaves out', async () => {
  const model = await open(join(FAMILIES, 'gemma4-parts/model'), 'reference');
  const weights = readFileSync(join(FAMILIES, 'gemma4-parts/model/model.safetensors'));
  const header = weights.toString('utf8', 8, 8 + Number(weights.readBigUInt64LE(0)));
  const names = Object.keys(JSON.parse(header) as object);
  const others = names.filter((name) => /^model\.(vision_tower|embed_vision)\./.test(name));
  expect(others.length).toBeGreaterThan(0);
  expect(model.description.ignoredTensors).toBe(others.length);
  await model.close();
});

describe('config.json', () => {
  const old = families.filter((name) => existsSync(join(FAMILIES, name, 'old-config.json')));

  it.each(old)("of %s is read with Transformers 4's names, too", async (name) => {
    const folder = mkdtempSync(join(tmpdir(), 'lorikeet-family-'));
    const golden = JSON.parse(readFileSync(join(FAMILIES, name, 'golden.json'), 'utf8')) as Golden;
    try {
      copyFileSync(join(FAMILIES, name, 'old-config.json'), join(folder, 'config.json'));
      copyFileSync(join(FAMILIES, name, 'model/model.safetensors'), join(folder, 'model.safetensors'));
      const scores: number[][] = [];
      for (const path of [folder, join(FAMILIES, name, 'model')]) {
        const model = await open(path, 'reference');
        scores.push(await new StepDriver(model, LIMITS).scorePrompt(golden.prompts.at(-1) ?? []));
        await model.close();
      }
      expect(scores[0]).toEqual(scores[1]);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it.each([
    ['is tied where there is no tensor for it', false],
    ['is read where there is one', true],
  ])("whose whole says nothing of Mistral 3's head: it %s", async (_, isThere) => {
    const source = join(FAMILIES, 'mistral3-parts/model');
    const folder = mkdtempSync(join(tmpdir(), 'lorikeet-family-'));
    try {
      const { tie_word_embeddings: __, ...config } = JSON.parse(
        readFileSync(join(source, 'config.json'), 'utf8'),
      ) as Record<string, unknown>;
      writeFileSync(join(folder, 'config.json'), JSON.stringify(config));
      const weights = readFileSync(join(source, 'model.safetensors'));
      writeFileSync(join(folder, 'model.safetensors'), isThere ? withZeroHead(weights) : weights);
      const model = await open(folder, 'reference');
      const [score = Number.NaN] = (await new StepDriver(model, LIMITS).scorePrompt([3, 4, 5])).slice(1);
      await model.close();
      // Each of the 96 tokens is as likely under a head of zeros.
      if (isThere) expect(score).toBeCloseTo(-Math.log(96), 5);
      else expect(Math.abs(score + Math.log(96))).toBeGreaterThan(1e-3);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

/** The same checkpoint with a head [96, 32] of zeros besides. */
const withZeroHead = (weights: Buffer): Buffer =>
  withZeros(weights, 'language_model.lm_head.weight', [96, 32]);

/** The same checkpoint with a tensor of bfloat16 zeros besides. */
function withZeros(weights: Buffer, name: string, shape: readonly [number, number]): Buffer {
  const length = Number(weights.readBigUInt64LE(0));
  const header = JSON.parse(weights.toString('utf8', 8, 8 + length)) as Record<string, unknown>;
  const data = weights.subarray(8 + length);
  const zeros = Buffer.alloc(shape[0] * shape[1] * 2);
  header[name] = { dtype: 'BF16', shape, data_offsets: [data.length, data.length + zeros.length] };
  const text = Buffer.from(JSON.stringify(header));
  const size = Buffer.alloc(8);
  size.writeBigUInt64LE(BigInt(text.length));
  return Buffer.concat([size, text, data, zeros]);
}
