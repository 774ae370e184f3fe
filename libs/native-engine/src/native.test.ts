import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type DriverLimits, StepDriver, type TestSample } from '../../../test/support/step-driver.js';
import { openModel } from './load.js';
import type { NativeModel, OpenOptions } from './native.js';

interface GoldenRun {
  readonly adapter: string | null;
  readonly prompt: number;
  readonly greedy_ids: readonly number[];
  readonly greedy_logprobs: readonly number[];
  readonly prompt_logprobs: readonly (number | null)[];
  readonly margins: readonly number[];
}
interface Golden {
  readonly prompts: readonly (readonly number[])[];
  readonly runs: readonly GoldenRun[];
}

const CASES = fileURLToPath(new URL('../../../test/golden/cases/', import.meta.url));
const LIMITS: DriverLimits = { pageTokens: 16, maxStepTokens: 256, maxSequences: 32, maxContext: 256 };
/** Below this margin another correct implementation may choose the other token. */
const CLOSE_CALL = 0.05;

function readGolden(name: string): Golden {
  return JSON.parse(readFileSync(`${CASES}${name}/golden.json`, 'utf8')) as Golden;
}

function openOptions(name: string, backend: OpenOptions['backend']): OpenOptions {
  return {
    modelPath: `${CASES}${name}/model`,
    backend,
    threads: 2,
    quantization: 'none',
    maxStepTokens: LIMITS.maxStepTokens,
    maxSequences: LIMITS.maxSequences,
    kv: { bytes: 4 << 20, pageTokens: LIMITS.pageTokens, dtype: 'f32' },
  };
}

/** Greedy ids and their log-probabilities agree up to the first close call. */
function expectGreedy(samples: readonly TestSample[], run: GoldenRun): void {
  const closeCall = run.margins.findIndex((margin) => margin < CLOSE_CALL);
  const count = closeCall === -1 ? run.greedy_ids.length : closeCall;
  expect(samples.slice(0, count).map((sample) => sample.token)).toEqual(run.greedy_ids.slice(0, count));
  samples.slice(0, count).forEach((sample, i) => {
    expect(Math.abs(sample.logprob - (run.greedy_logprobs[i] as number))).toBeLessThan(1e-3);
  });
}

function expectLogprobs(actual: readonly number[], run: GoldenRun): void {
  const expected = run.prompt_logprobs.slice(1) as number[];
  expect(actual.length).toBe(expected.length);
  const worst = Math.max(...actual.map((value, i) => Math.abs(value - (expected[i] as number))));
  expect(worst).toBeLessThan(1e-3);
}

describe.each(['reference', 'cpu'] as const)('the %s backend', (backend) => {
  describe.each(['llama-gqa', 'llama3-rope-tied-sharded'])('on %s', (name) => {
    const golden = readGolden(name);
    const base = golden.runs.filter((run) => run.adapter === null);
    let model: NativeModel;
    let driver: StepDriver;
    beforeAll(async () => {
      model = await openModel(openOptions(name, backend));
      driver = new StepDriver(model, LIMITS);
    });
    afterAll(async () => {
      await model.close();
    });

    it('continues every prompt as Transformers does, all prompts in common steps', async () => {
      const sequences = base.map((run) => driver.sequence(golden.prompts[run.prompt] as number[]));
      const samples = await driver.generate(sequences, 16);
      base.forEach((run, i) => {
        expectGreedy(samples[i] as TestSample[], run);
      });
      sequences.forEach((sequence) => {
        driver.release(sequence);
      });
    });

    it('scores every prompt token as Transformers does', async () => {
      for (const run of base)
        expectLogprobs(await driver.scorePrompt(golden.prompts[run.prompt] as number[]), run);
    });
  });
});
