import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { comparableTokens, type GoldenRun, loadGolden } from '../../../test/support/golden.js';
import { handManifest } from '../../../test/support/hand-manifest.js';
import {
  type DriverLimits,
  StepDriver,
  type TestSample,
  type TestSampling,
} from '../../../test/support/step-driver.js';
import { nativeSampleColumns, openModel } from './load.js';
import type { NativeModel, OpenOptions } from './native.js';
import { FLOAT_COLUMNS, INT_COLUMNS } from './sample-columns.js';

const LIMITS: DriverLimits = { pageTokens: 16, maxStepTokens: 2048, maxSequences: 64, maxContext: 256 };
/** The product promises 0.02; float32 arithmetic on the same weights does better. */
const TOLERANCE = 1e-3;
/** alpha / r, rsLoRA: alpha / sqrt(r). Rank patterns need the real reader (libs/adapters). */
const SCALES: Readonly<Record<string, number>> = {
  'qv-r8': 2,
  'all-r16-bf16': 1,
  'rslora-r4': 4,
  'some-layers': 2,
  'dora-r8': 2,
  'save-lm-head': 2,
  'embed-lm-head': 2,
  'all-r8': 2,
  'attn-r8': 2,
};

const CASES = [
  'cases/llama-gqa',
  'cases/llama3-rope-tied-sharded',
  'cases/qwen2-bias',
  'cases/qwen3-qknorm',
  'cases/mistral-window',
  'cases/gemma2-softcap',
  'cases/gemma3-text',
  'cases/phi3-fused',
  'cases/mixtral-moe',
  'cases/qwen3-moe',
];

const worst = (actual: readonly number[], expected: readonly number[]): number =>
  Math.max(0, ...actual.map((value, i) => Math.abs(value - (expected[i] as number))));

it('reads the columns of a sampled row in the order in which they are written', () => {
  expect(nativeSampleColumns()).toEqual({ ints: INT_COLUMNS, floats: FLOAT_COLUMNS });
});

describe.each(['reference', 'cpu'] as const)('the %s backend', (backend) => {
  describe.each(CASES)('on %s', (name) => {
    const golden = loadGolden(name);
    const runs = golden.runs.filter((run) => run.adapter === null || run.adapter in SCALES);
    const promptOf = (run: GoldenRun): readonly number[] => golden.prompts[run.prompt] as readonly number[];
    const handles = new Map<string, number>();
    const handleOf = (run: GoldenRun): number | undefined =>
      run.adapter === null ? undefined : (handles.get(run.adapter) as number);
    let model: NativeModel;
    let driver: StepDriver;
    const openWith = (
      dtype: OpenOptions['kv']['dtype'],
      quantization: OpenOptions['quantization'] = 'none',
    ): Promise<NativeModel> =>
      openModel({
        modelPath: golden.modelPath,
        backend,
        threads: 2,
        quantization,
        maxStepTokens: LIMITS.maxStepTokens,
        maxSequences: LIMITS.maxSequences,
        kv: { bytes: 4 << 20, pageTokens: LIMITS.pageTokens, dtype },
      });

    beforeAll(async () => {
      model = await openWith('f32');
      driver = new StepDriver(model, LIMITS);
      for (const adapter of golden.adapters.filter((known) => known in SCALES)) {
        const spec = handManifest(`${golden.folder}/adapters/${adapter}`, SCALES[adapter] as number);
        handles.set(adapter, (await model.loadAdapter(spec)).handle);
      }
    });
    afterAll(() => model?.close());

    it('continues every prompt with every adapter as Transformers and PEFT do, all in common steps', async () => {
      const sequences = runs.map((run) => driver.sequence(promptOf(run), handleOf(run)));
      const samples = await driver.generate(sequences, 16);
      for (const [i, run] of runs.entries()) {
        const count = comparableTokens(run);
        const own = (samples[i] as TestSample[]).slice(0, count);
        expect(
          own.map((sample) => sample.token),
          `${run.adapter}`,
        ).toEqual(run.greedy_ids.slice(0, count));
        const logprobs = own.map((sample) => sample.logprob);
        expect(worst(logprobs, run.greedy_logprobs), `${run.adapter}`).toBeLessThan(TOLERANCE);
      }
      for (const sequence of sequences) driver.release(sequence);
    });

    it('scores every prompt token with every adapter as Transformers and PEFT do', async () => {
      for (const run of runs) {
        const logprobs = await driver.scorePrompt(promptOf(run), handleOf(run));
        const expected = run.prompt_logprobs.slice(1) as number[];
        expect(logprobs.length).toBe(expected.length);
        expect(worst(logprobs, expected), `${run.adapter}`).toBeLessThan(TOLERANCE);
      }
    });

    it('lists the tokens that a row names, with the log-probabilities that they have among the most likely', async () => {
      const prompt = promptOf(runs[0] as GoldenRun);
      const last = async (sampling: Partial<TestSampling>): Promise<TestSample> => {
        const sequence = driver.sequence(prompt);
        const sample = new Map([[prompt.length - 1, { mode: 'sample', ...sampling } as const]]);
        const [results] = await driver.run([{ sequence, rows: prompt.length, sample }]);
        driver.release(sequence);
        return results?.[0] as TestSample;
      };
      const best = await last({ topLogprobs: 20 });
      const listed = [7, 3, 0].map((place) => best.top[place]?.[0] as number);
      const named = await last({ listed });
      expect(named.top).toEqual([best.top[7], best.top[3], best.top[0]]);
      expect([named.token, named.logprob]).toEqual([best.token, best.logprob]);
    });

    if (!name.includes('llama')) return;

    it('describes the model', () => {
      const { description } = model;
      expect(description).toMatchObject({
        architecture: 'LlamaForCausalLM',
        hiddenSize: 64,
        vocabSize: 512,
        eosTokenIds: [1],
        bosTokenId: 0,
        tieWordEmbeddings: !name.endsWith('llama-gqa'),
      });
      expect(description.modules).toContainEqual({
        name: 'model.layers.1.mlp.down_proj',
        kind: 'linear',
        out: 64,
        in: name.endsWith('llama-gqa') ? 160 : 128,
        bias: false,
      });
      expect(description.modules.map((module) => module.name)).toContain('lm_head');
      expect(description.kvPages).toBe(Math.floor((4 << 20) / description.kvBytesPerPage));
    });

    it.each([
      ['f16', 0.02, 2],
      ['bf16', 0.2, 2],
      ['int8', 0.5, 3.2], // 64 bytes of a head of 16 become 16 and a scale
    ] as const)('scores alike with a cache of %s, within its rounding', async (dtype, tolerance, share) => {
      const rounded = await openWith(dtype);
      expect(rounded.description.kvBytesPerPage * share).toBeCloseTo(model.description.kvBytesPerPage, 6);
      const run = runs.findLast(({ adapter }) => adapter === null) as GoldenRun;
      const logprobs = await new StepDriver(rounded, LIMITS).scorePrompt(promptOf(run));
      expect(worst(logprobs, run.prompt_logprobs.slice(1) as number[])).toBeLessThan(tolerance);
      await rounded.close();
    });

    // Of these random models the mean log-probability is about -20: their logits are large, and move with the weights.
    it.each([
      ['int8', 0.02],
      ['int4', 0.1],
      ['nf4', 0.1],
    ] as const)(
      'scores alike with weights in %s, within a share that so few bits lose',
      async (format, tolerance) => {
        const quantized = await openWith('f32', format);
        // The reference keeps float32, whatever the values.
        const share = quantized.description.weightBytes / model.description.weightBytes;
        expect(share).toBeLessThan(backend === 'cpu' ? 0.75 : 1.01);
        const run = runs.findLast(({ adapter }) => adapter === null) as GoldenRun;
        const logprobs = await new StepDriver(quantized, LIMITS).scorePrompt(promptOf(run));
        const expected = run.prompt_logprobs.slice(1) as number[];
        const size = expected.reduce((sum, value) => sum + Math.abs(value), 0);
        const error = logprobs.reduce((sum, value, i) => sum + Math.abs(value - (expected[i] as number)), 0);
        expect(error / size).toBeLessThan(tolerance);
        await quantized.close();
      },
    );
  });
});
