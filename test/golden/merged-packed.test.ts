import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { mergeAdapter } from '#merge/merge-adapter.js';
import { openModel } from '#native-engine/load.js';
import { WEIGHTS } from '../support/adapter-form.js';
import { readGolden } from '../support/golden.js';
import { llamaBase } from '../support/llama-base.js';
import { sourceVersion } from '../support/source-version.js';
import { type DriverLimits, StepDriver } from '../support/step-driver.js';

/*
 * Adapters merged into what quantized checkpoints stand for, against Transformers + PEFT on the dequantized model: in float32
 * nothing is lost, so that what the same merge in bfloat16 differs by is the rounding of its weights.
 */
const FOLDER = join(import.meta.dirname, 'packed');
const LIMITS: DriverLimits = { pageTokens: 16, maxStepTokens: 128, maxSequences: 4, maxContext: 128 };
const formats = readdirSync(FOLDER).filter((name) => name !== 'adapters');
const folder = mkdtempSync(join(tmpdir(), 'lorikeet-merged-packed-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** The largest difference of a log-probability. */
async function difference(format: string, adapter: string, dtype: 'BF16' | 'F32'): Promise<number> {
  const checkpoint = join(FOLDER, format, 'model');
  const config = pathToFileURL(join(checkpoint, 'config.json'));
  const { manifest } = sourceVersion(join(FOLDER, 'adapters', adapter), llamaBase(config)).source;
  const target = join(folder, `${format}-${adapter}-${dtype}`);
  const weights = join(FOLDER, 'adapters', adapter, WEIGHTS);
  const { signal } = new AbortController();
  const how = { anyBase: true, dequantize: true, dequantizedDtype: dtype };
  await mergeAdapter({ manifest, weights, checkpoint, target, signal, ...how });
  const model = await openModel({
    modelPath: target,
    backend: 'cpu',
    threads: 1,
    quantization: 'none',
    maxStepTokens: LIMITS.maxStepTokens,
    maxSequences: LIMITS.maxSequences,
    kv: { bytes: 2 << 20, pageTokens: LIMITS.pageTokens, dtype: 'f32' },
  });
  try {
    const driver = new StepDriver(model, LIMITS);
    const { prompts, runs } = readGolden(join(FOLDER, format));
    let worst = 0;
    for (const run of runs.filter((each) => each.adapter === adapter)) {
      const scores = await driver.scorePrompt([...(prompts[run.prompt] ?? []), ...run.greedy_ids], undefined);
      const wanted = [...run.prompt_logprobs.slice(1), ...run.greedy_logprobs];
      for (const [i, score] of scores.entries())
        worst = Math.max(worst, Math.abs(score - (wanted[i] ?? Number.NaN)));
    }
    return worst;
  } finally {
    await model.close();
  }
}

describe.each(formats)('merged into a checkpoint in %s', (format) => {
  it.each(['lora', 'dora'])(
    '%s in float32 is what PEFT computes, and in bfloat16 that rounded',
    async (adapter) => {
      const exact = await difference(format, adapter, 'F32');
      const rounded = await difference(format, adapter, 'BF16');
      expect(exact).toBeLessThan(1e-4);
      expect(rounded).toBeGreaterThan(exact);
      expect(rounded).toBeLessThan(0.3);
    },
  );
});
