import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openModel } from '../../libs/native-engine/src/load.js';
import type { NativeModel, Quantization } from '../../libs/native-engine/src/native.js';
import { comparableTokens, type GoldenRun, loadGolden } from '../support/golden.js';
import { handManifest } from '../support/hand-manifest.js';
import { ROOT } from '../support/stack.js';
import { type DriverLimits, StepDriver } from '../support/step-driver.js';

/* A checkpoint that bitsandbytes quantized, with a QLoRA adapter: its numbers, and the same numbers made here. */

const LIMITS: DriverLimits = { pageTokens: 16, maxStepTokens: 256, maxSequences: 8, maxContext: 256 };
const golden = loadGolden('nf4-cases/qlora');
const plainPath = join(golden.folder, 'plain');

function open(modelPath: string, quantization: Quantization): Promise<NativeModel> {
  return openModel({
    modelPath,
    backend: 'cpu',
    threads: 2,
    quantization,
    maxStepTokens: LIMITS.maxStepTokens,
    maxSequences: LIMITS.maxSequences,
    kv: { bytes: 4 << 20, pageTokens: LIMITS.pageTokens, dtype: 'f32' },
  });
}

/** Log-probabilities of a run's prompt and greedy tokens, but the first. */
async function score(driver: StepDriver, run: GoldenRun, adapter?: number): Promise<number[]> {
  return driver.scorePrompt([...(golden.prompts[run.prompt] ?? []), ...run.greedy_ids], adapter);
}

/** The safetensors file's tensors: type, shape and bytes by name. */
async function tensorsOf(path: string): Promise<Map<string, unknown>> {
  const file = await readFile(path);
  const start = 8 + Number(file.readBigUInt64LE(0));
  const header = JSON.parse(file.subarray(8, start).toString()) as Record<string, never>;
  const entries = Object.entries<{ dtype: string; shape: number[]; data_offsets: [number, number] }>(header);
  return new Map(
    entries
      .filter(([name]) => name !== '__metadata__')
      .map(([name, { dtype, shape, data_offsets }]) => {
        const bytes = file.subarray(start + data_offsets[0], start + data_offsets[1]);
        // The state is JSON, whose spaces are nobody's business.
        const state = name.endsWith('__nf4');
        return [name, state ? JSON.parse(bytes.toString()) : { dtype, shape, hex: bytes.toString('hex') }];
      }),
  );
}

describe('a checkpoint that bitsandbytes quantized to NF4', () => {
  let model: NativeModel;
  let driver: StepDriver;
  let lora: number;
  beforeAll(async () => {
    model = await open(golden.modelPath, 'none');
    driver = new StepDriver(model, LIMITS);
    lora = (await model.loadAdapter(handManifest(join(golden.folder, 'adapters/lora'), 2))).handle;
  });
  afterAll(() => model?.close());

  const adapterOf = (run: GoldenRun): number | undefined => (run.adapter === null ? undefined : lora);

  it('says so of itself', () => {
    expect(model.description.quantization).toBe('nf4');
  });

  it("gives Transformers' log-probabilities with and without an adapter, but for 8-bit activations", async () => {
    for (const run of golden.runs) {
      const expected = [...run.prompt_logprobs.slice(1), ...run.greedy_logprobs] as number[];
      const actual = await score(driver, run, adapterOf(run));
      const errors = actual.map((value, i) => Math.abs(value - (expected[i] as number)));
      const size = expected.reduce((sum, value) => sum + Math.abs(value), 0);
      expect(errors.reduce((sum, value) => sum + value, 0) / size, `${run.adapter}`).toBeLessThan(0.02);
    }
  });

  it('has the same bits as its plain checkpoint quantized on load', async () => {
    const quantized = await open(plainPath, 'nf4');
    const read = await open(golden.modelPath, 'nf4'); // so that both have the head in 8 bits
    for (const run of golden.runs.filter(({ adapter }) => adapter === null)) {
      const expected = await score(new StepDriver(read, LIMITS), run);
      expect(await score(new StepDriver(quantized, LIMITS), run)).toEqual(expected);
    }
    await quantized.close();
    await read.close();
  });

  it('is written byte for byte by lorikeet_quantize', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'lorikeet-nf4-'));
    try {
      await promisify(execFile)(join(ROOT, 'build/native/lorikeet_quantize'), [
        plainPath,
        join(folder, 'out'),
      ]);
      const written = await tensorsOf(join(folder, 'out/model.safetensors'));
      const theirs = await tensorsOf(join(golden.modelPath, 'model.safetensors'));
      expect([...written.keys()].toSorted()).toEqual([...theirs.keys()].toSorted());
      for (const [name, tensor] of theirs)
        expect({ name, tensor: written.get(name) }).toEqual({ name, tensor });
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it('generates the same tokens as Transformers up to the first close call', async () => {
    for (const run of golden.runs) {
      const sequence = driver.sequence(golden.prompts[run.prompt] ?? [], adapterOf(run));
      const [samples] = await driver.generate([sequence], run.greedy_ids.length);
      const count = Math.min(comparableTokens(run), 4);
      expect(samples?.slice(0, count).map(({ token }) => token)).toEqual(run.greedy_ids.slice(0, count));
      driver.release(sequence);
    }
  });
});
