import { copyFile, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { convertToInt8 } from '#adapters/derivation/convert-int8.js';
import { DerivedFile } from '#adapters/derivation/derived-file.js';
import { openModel } from '#native-engine/load.js';
import type { AdapterDtype } from '#native-engine/native.js';
import { CONFIG, WEIGHTS } from '../support/adapter-form.js';
import { readGolden } from '../support/golden.js';
import { goldenBase, goldenFolder } from '../support/golden-base.js';
import { handManifest } from '../support/hand-manifest.js';
import { sourceVersion } from '../support/source-version.js';
import { type DriverLimits, StepDriver } from '../support/step-driver.js';

/* What `convert` to int8 writes, served as it is stored, is what an engine with ADAPTER_DTYPE=int8 makes of the original. */

const LIMITS: DriverLimits = { pageTokens: 16, maxStepTokens: 128, maxSequences: 4, maxContext: 256 };
const FOLDER = goldenFolder('llama-gqa');
const ORIGINAL = join(FOLDER, 'adapters/qv-r8');
const SCALE = 2;

let converted: string;
beforeAll(async () => {
  converted = await mkdtemp(join(tmpdir(), 'lorikeet-int8-'));
  const { source, header } = sourceVersion(ORIGINAL, goldenBase('llama-gqa'));
  const file = await DerivedFile.create(join(converted, WEIGHTS));
  await convertToInt8({ source, header }, 'f32', { file, onModule: () => undefined });
  await file.finish();
  await file.close();
  await copyFile(join(ORIGINAL, CONFIG), join(converted, CONFIG));
});
afterAll(() => rm(converted, { recursive: true, force: true }));

async function logprobs(folder: string, adapterDtype: AdapterDtype): Promise<readonly number[]> {
  const model = await openModel({
    modelPath: join(FOLDER, 'model'),
    backend: 'cpu',
    threads: 1,
    quantization: 'none',
    adapterDtype,
    maxStepTokens: LIMITS.maxStepTokens,
    maxSequences: LIMITS.maxSequences,
    kv: { bytes: 4 << 20, pageTokens: LIMITS.pageTokens, dtype: 'f32' },
  });
  const { handle } = await model.loadAdapter(handManifest(folder, SCALE));
  const prompt = readGolden(FOLDER).prompts.at(-1) ?? [];
  const scored = await new StepDriver(model, LIMITS).scorePrompt(prompt.slice(0, 100), handle);
  await model.close();
  return scored;
}

it('gives the log-probabilities of the original in int8, whichever way it is kept', async () => {
  const wanted = await logprobs(ORIGINAL, 'int8');
  const exact = await logprobs(ORIGINAL, 'stored');
  const apart = (one: readonly number[], other: readonly number[]): number =>
    Math.max(...one.map((value, at) => Math.abs(value - (other[at] as number))));
  // Or the test would show nothing.
  expect(apart(exact, wanted)).toBeGreaterThan(1e-3);
  expect(apart(await logprobs(converted, 'stored'), wanted)).toBeLessThan(1e-4);
  expect(apart(await logprobs(converted, 'int8'), wanted)).toBeLessThan(1e-4);
});
