import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { inspectModel, openModel } from '#native-engine/load.js';
import type { NativeModel } from '#native-engine/native.js';
import { type GoldenRun, loadGolden } from '../support/golden.js';
import { modulesOf } from '../support/golden-modules.js';
import { ROOT } from '../support/stack.js';
import { type DriverLimits, StepDriver } from '../support/step-driver.js';
import { WHOLE_SUITE } from '../support/whole-suite.js';

/*
 * Families against Transformers + PEFT on the CUDA backend, as families.test.ts has them on the others: the driver is simulated,
 * the kernels are those of a card.
 */

const SIMULATED = join(ROOT, 'build/native/libcuda_sim.so');
const LIMITS: DriverLimits = { pageTokens: 16, maxStepTokens: 256, maxSequences: 16, maxContext: 512 };
const TOLERANCE = 2e-3;
/** What the CPU serves and no CUDA device does yet: refused when it is opened. */
const REFUSED: ReadonlySet<string> = new Set(
  [
    'deepseek-v2',
    'deepseek-v2-lite',
    'deepseek-v3',
    'falcon-rw',
    'gemma4-26b',
    'gemma4-31b',
    'gemma4-e2b',
    'gemma4-parts',
    'lfm2',
    'llama4',
    'llama4-maverick',
    'qwen3-next',
    'qwen3-5',
    'qwen3-5-moe-parts',
    'qwen3-5-parts',
  ].map((name) => `families/${name}`),
);
/** Of mixtures: every kind of router, of expert and of adapter. */
const SAMPLES = [
  'experts/gpt-oss',
  'experts/mixtral',
  'experts/qwen3',
  'families/glm4-moe',
  'families/gpt-oss-mxfp4',
  'families/qwen2-moe',
];

const all = ['families', 'cases', 'experts', 'crosswise'].flatMap((folder) =>
  readdirSync(join(import.meta.dirname, folder)).map((name) => `${folder}/${name}`),
);
const modelPathOf = (name: string): string => loadGolden(name).modelPath;
/** Whether any backend serves it. */
const isServed = (name: string): boolean => {
  try {
    inspectModel(modelPathOf(name));
    return true;
  } catch {
    return false;
  }
};
const names = WHOLE_SUITE ? all.filter(isServed) : SAMPLES;

const open = (name: string): Promise<NativeModel> =>
  openModel({
    modelPath: modelPathOf(name),
    backend: 'cuda',
    threads: 1,
    quantization: 'none',
    maxStepTokens: LIMITS.maxStepTokens,
    maxSequences: LIMITS.maxSequences,
    kv: { bytes: 4 << 20, pageTokens: LIMITS.pageTokens, dtype: 'f32' },
  });

/** The shortest prompt with each adapter: a token costs the simulator some thousand times what a card needs. */
function shortestRuns(runs: readonly GoldenRun[]): GoldenRun[] {
  const byAdapter = new Map<string | null, GoldenRun>();
  for (const run of runs) {
    const best = byAdapter.get(run.adapter);
    if (!best || run.prompt_logprobs.length < best.prompt_logprobs.length) byAdapter.set(run.adapter, run);
  }
  return [...byAdapter.values()];
}

async function load(model: NativeModel, folder: string): Promise<number> {
  const weightsPath = join(folder, 'adapter_model.safetensors');
  const modules = modulesOf(folder, model, LIMITS.maxContext);
  return (await model.loadAdapter({ weightsPath, modules })).handle;
}

describe.runIf(existsSync(SIMULATED))('on a CUDA device (simulated)', () => {
  beforeAll(() => {
    process.env.LORIKEET_CUDA_DRIVER = SIMULATED;
  });
  afterAll(() => {
    delete process.env.LORIKEET_CUDA_DRIVER;
  });

  it.each(names)('%s gives the log-probabilities of Transformers + PEFT', async (name) => {
    if (REFUSED.has(name)) {
      await expect(open(name)).rejects.toThrow(/on a CUDA device/);
      return;
    }
    const golden = loadGolden(name);
    const model = await open(name);
    try {
      const driver = new StepDriver(model, LIMITS);
      for (const run of shortestRuns(golden.runs)) {
        const tokens = [...(golden.prompts[run.prompt] ?? []), ...run.greedy_ids];
        const wanted = [...run.prompt_logprobs.slice(1), ...run.greedy_logprobs] as number[];
        const handle =
          run.adapter === null ? undefined : await load(model, join(golden.folder, 'adapters', run.adapter));
        const given = await driver.scorePrompt(tokens, handle);
        const worst = Math.max(...wanted.map((value, i) => Math.abs(value - (given[i] ?? Number.NaN))));
        expect(worst, `${run.adapter ?? 'base'}, prompt ${run.prompt}`).toBeLessThan(TOLERANCE);
      }
    } finally {
      await model.close();
    }
  });
});
