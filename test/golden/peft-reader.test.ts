import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readAdapter } from '#adapters/peft/read-adapter.js';
import type { AdapterManifest } from '#contracts/adapter-manifest.js';
import type { BaseModel } from '#contracts/base-model.js';
import { openModel } from '#native-engine/load.js';
import type { NativeModel } from '#native-engine/native.js';
import { readSafetensors } from '#safetensors/reader.js';
import { comparableTokens, type GoldenRun } from '../support/golden.js';
import { llamaBase } from '../support/llama-base.js';
import { type DriverLimits, StepDriver } from '../support/step-driver.js';

/* The reader's manifest, computed by the native engine, against PEFT: every corner that make_adapters.py has a file for. */

const LIMITS: DriverLimits = { pageTokens: 16, maxStepTokens: 2048, maxSequences: 64, maxContext: 256 };
/** The product promises 0.02; float32 arithmetic on the same weights does better. */
const TOLERANCE = 1e-3;

interface Golden {
  readonly prompts: readonly (readonly number[])[];
  readonly runs: readonly GoldenRun[];
  readonly model_of?: string;
}

const here = new URL('.', import.meta.url);
const worst = (actual: readonly number[], expected: readonly number[]): number =>
  Math.max(0, ...actual.map((value, i) => Math.abs(value - (expected[i] as number))));

function manifestOf(folder: URL, base: BaseModel): AdapterManifest {
  const reading = readAdapter({
    configJson: readFileSync(new URL('adapter_config.json', folder), 'utf8'),
    header: readSafetensors(readFileSync(new URL('adapter_model.safetensors', folder))).header,
    base,
    weights: { sha256: 'a'.repeat(64), bytes: 1 },
  });
  if (reading.verdict === 'rejected') throw new Error(JSON.stringify(reading.report.errors));
  return reading.manifest;
}

const sets = [
  'cases/llama-gqa',
  'cases/llama3-rope-tied-sharded',
  'peft-cases/gqa',
  'peft-cases/biased',
  'peft-cases/tied',
  'peft-cases/resized',
  'peft-cases/resized-tied',
];

describe.each(['reference', 'cpu'] as const)('on the %s backend', (backend) => {
  describe.each(sets)('every adapter of %s', (set) => {
    const folder = new URL(`${set}/`, here);
    const golden = JSON.parse(readFileSync(new URL('golden.json', folder), 'utf8')) as Golden;
    const modelFolder = new URL(golden.model_of ? `cases/${golden.model_of}/model/` : `${set}/model/`, here);
    const adapters = [...new Set(golden.runs.map(({ adapter }) => adapter))].filter((name) => name !== null);
    const handles = new Map<string, number>();
    let model: NativeModel;
    let driver: StepDriver;

    beforeAll(async () => {
      model = await openModel({
        modelPath: fileURLToPath(modelFolder),
        backend,
        threads: 2,
        quantization: 'none',
        maxStepTokens: LIMITS.maxStepTokens,
        maxSequences: LIMITS.maxSequences,
        kv: { bytes: 8 << 20, pageTokens: LIMITS.pageTokens, dtype: 'f32' },
      });
      driver = new StepDriver(model, LIMITS);
      const base = {
        ...llamaBase(new URL('config.json', modelFolder)),
        modules: [...model.description.modules],
      };
      for (const adapter of adapters) {
        const adapterFolder = new URL(`adapters/${adapter}/`, folder);
        const { modules } = manifestOf(adapterFolder, base);
        const weightsPath = fileURLToPath(new URL('adapter_model.safetensors', adapterFolder));
        handles.set(adapter, (await model.loadAdapter({ weightsPath, modules })).handle);
      }
    });
    afterAll(() => model?.close());

    const handleOf = ({ adapter }: GoldenRun) => (adapter === null ? undefined : handles.get(adapter));

    it('scores prompts as PEFT does', async () => {
      for (const run of golden.runs) {
        const prompt = golden.prompts[run.prompt] as readonly number[];
        const logprobs = await driver.scorePrompt(prompt, handleOf(run));
        const difference = worst(logprobs, run.prompt_logprobs.slice(1) as number[]);
        expect(difference, `${run.adapter}`).toBeLessThan(TOLERANCE);
      }
    });

    it('continues prompts as PEFT does, all adapters in common steps', async () => {
      const runs = golden.runs.filter(
        ({ prompt }) => (golden.prompts[prompt] as readonly number[]).length < 100,
      );
      const sequences = runs.map((run) =>
        driver.sequence(golden.prompts[run.prompt] as number[], handleOf(run)),
      );
      const samples = await driver.generate(sequences, 12);
      for (const [i, run] of runs.entries()) {
        const count = Math.min(12, comparableTokens(run));
        const tokens = samples[i]?.slice(0, count).map(({ token }) => token);
        expect(tokens, `${run.adapter}`).toEqual(run.greedy_ids.slice(0, count));
      }
      for (const sequence of sequences) driver.release(sequence);
    });
  });
});
