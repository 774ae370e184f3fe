import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { inspectModel, openModel } from '#native-engine/load.js';
import type { NativeModel, Quantization } from '#native-engine/native.js';
import { comparableTokens, type GoldenRun, readGolden } from '../support/golden.js';
import { handManifest } from '../support/hand-manifest.js';
import { type DriverLimits, StepDriver } from '../support/step-driver.js';

/*
 * Checkpoints that other tools packed (make_packed.py): what is served is what their codes stand for, adapters and all. The
 * weights bit for bit, and broken files, are native/test/model_packed.cc.
 */
const FOLDER = join(import.meta.dirname, 'packed');
const LIMITS: DriverLimits = { pageTokens: 16, maxStepTokens: 128, maxSequences: 4, maxContext: 128 };
/** Of a log-probability, between our float32 and Transformers'. */
const CLOSE = 0.001;
/** The same with activations, embedding and head in 8 bits: these models of one layer are sure of their answers. */
const ROUNDED = 0.8;

function open(
  modelPath: string,
  backend: 'cpu' | 'reference',
  quantization: Quantization,
): Promise<NativeModel> {
  return openModel({
    modelPath,
    backend,
    threads: 1,
    quantization,
    maxStepTokens: LIMITS.maxStepTokens,
    maxSequences: LIMITS.maxSequences,
    kv: { bytes: 2 << 20, pageTokens: LIMITS.pageTokens, dtype: 'f32' },
  });
}

const formats = readdirSync(FOLDER).filter((name) => name !== 'adapters');

describe.each(formats)('a checkpoint in %s', (format) => {
  const golden = readGolden(join(FOLDER, format));
  const modelPath = join(FOLDER, format, 'model');
  let model: NativeModel;
  let driver: StepDriver;
  const handles: Record<string, number> = {};

  beforeAll(async () => {
    model = await open(modelPath, 'cpu', 'none');
    driver = new StepDriver(model, LIMITS);
    for (const name of ['lora', 'dora'])
      handles[name] = (await model.loadAdapter(handManifest(join(FOLDER, 'adapters', name), 2))).handle;
  });
  afterAll(() => model?.close());

  const handleOf = (run: GoldenRun): number | undefined =>
    run.adapter === null ? undefined : handles[run.adapter];
  const tokensOf = (run: GoldenRun): number[] => [...(golden.prompts[run.prompt] ?? []), ...run.greedy_ids];
  const worst = (run: GoldenRun, actual: readonly number[]): number => {
    const expected = [...run.prompt_logprobs.slice(1), ...run.greedy_logprobs] as number[];
    return Math.max(...actual.map((value, i) => Math.abs(value - (expected[i] as number))));
  };

  it("gives Transformers' log-probabilities of the dequantized model, with LoRA and with DoRA on it", async () => {
    for (const run of golden.runs) {
      expect(
        worst(run, await driver.scorePrompt(tokensOf(run), handleOf(run))),
        `${run.adapter}`,
      ).toBeLessThan(CLOSE);
      const sequence = driver.sequence(golden.prompts[run.prompt] ?? [], handleOf(run));
      const [samples] = await driver.generate([sequence], run.greedy_ids.length);
      const count = comparableTokens(run);
      expect(samples?.slice(0, count).map(({ token }) => token)).toEqual(run.greedy_ids.slice(0, count));
      driver.release(sequence);
    }
  });

  it('says what it is, and takes no more memory than its file', () => {
    expect(inspectModel(modelPath).quantization).toBe(model.description.quantization);
    expect(model.description.quantization).not.toBe('none');
    const fileBytes = statSync(join(modelPath, 'model.safetensors')).size;
    expect(model.description.weightBytes).toBeLessThan(fileBytes * 1.2);
  });

  it('is kept as it is when QUANTIZATION says otherwise; the head and the embedding are not', async () => {
    const [run] = golden.runs.filter(({ adapter }) => adapter === null);
    const other = await open(modelPath, 'cpu', 'int4');
    const actual = await new StepDriver(other, LIMITS).scorePrompt(tokensOf(run as GoldenRun));
    expect(other.description.quantization).toBe(model.description.quantization);
    expect(worst(run as GoldenRun, actual)).toBeLessThan(ROUNDED);
    await other.close();
  });

  it('sees activations in 8 bits where QUANTIZATION says so, as the reference backend does, adapters included', async () => {
    const models = [await open(modelPath, 'cpu', 'int8'), await open(modelPath, 'reference', 'int8')];
    const scores = await Promise.all(
      models.map(async (other) => {
        const own = new StepDriver(other, LIMITS);
        const all: number[][] = [];
        for (const run of golden.runs) {
          const folder = join(FOLDER, 'adapters', run.adapter ?? '');
          const handle =
            run.adapter === null ? undefined : (await other.loadAdapter(handManifest(folder, 2))).handle;
          all.push([...(await own.scorePrompt(tokensOf(run), handle))]);
          expect(worst(run, all.at(-1) ?? []), `${run.adapter}`).toBeLessThan(ROUNDED);
        }
        await other.close();
        return all.flat();
      }),
    );
    const [cpu = [], reference = []] = scores;
    // The last bits of a norm decide now and then which way an activation is rounded, and all later tokens see that one.
    const apart = cpu.map((value, i) => Math.abs(value - (reference[i] ?? Number.NaN)));
    expect(apart.reduce((sum, value) => sum + value, 0) / apart.length).toBeLessThan(0.1);
  });

  it('is the same to the reference backend, whose dense merge judges adapters', async () => {
    const reference = await open(modelPath, 'reference', 'none');
    const [run] = golden.runs.filter(({ adapter }) => adapter === null);
    const actual = await new StepDriver(reference, LIMITS).scorePrompt(tokensOf(run as GoldenRun));
    expect(worst(run as GoldenRun, actual)).toBeLessThan(CLOSE);
    await reference.close();
  });
});
