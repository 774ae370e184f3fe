import { readFileSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readSafetensors } from '#safetensors/reader.js';
import { read as readReport } from '../../../../test/support/adapter-shapes.js';
import { llamaBase } from '../../../../test/support/llama-base.js';
import { sourceVersion } from '../../../../test/support/source-version.js';
import { DerivedFile } from './derived-file.js';
import type { ShrinkRecipe } from './recipe.js';
import { shrink } from './shrink.js';

const golden = new URL('../../../../test/golden/', import.meta.url);
const base = llamaBase(new URL('cases/llama-gqa/model/config.json', golden));
const adapters = fileURLToPath(new URL('cases/llama-gqa/adapters/', golden));
const spectra = JSON.parse(readFileSync(new URL('derived/spectra.json', golden), 'utf8')) as Record<
  string,
  number[]
>;

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lorikeet-shrunk-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function shrunk(adapter: string, recipe: Omit<ShrinkRecipe, 'operation'>) {
  const path = join(folder, 'adapter_model.safetensors');
  const file = await DerivedFile.create(path);
  try {
    const from = sourceVersion(join(adapters, adapter), base);
    const made = await shrink({ operation: 'shrink', ...recipe }, from, { file, onModule: () => undefined });
    await file.finish();
    const bytes = await readFile(path);
    return { ...made, bytes, from, header: readSafetensors(bytes).header };
  } finally {
    await file.close();
  }
}

/** What numpy's singular values say is lost beyond a rank. */
const lostBeyond = (rank: number, module: string): number => {
  const squares = (spectra[module] ?? []).map((value) => value * value);
  const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);
  return Math.sqrt(sum(squares.slice(rank)) / sum(squares));
};

describe('a shrunk version', () => {
  it('loses exactly what the singular values beyond its rank say', async () => {
    const { result } = await shrunk('qv-r8', { rank: 3, dtype: 'f32' });
    expect(result.modules.length).toBe(Object.keys(spectra).length);
    for (const { module, rank, relative_error } of result.modules) {
      expect([module, rank]).toEqual([module, 3]);
      expect(relative_error).toBeCloseTo(lostBeyond(3, module), 6);
    }
  });

  it('loses nothing but the rounding at its full rank, and says what that is', async () => {
    expect((await shrunk('qv-r8', { rank: 8, dtype: 'f32' })).result.relative_error).toBeLessThan(1e-6);
    const { result } = await shrunk('qv-r8', { rank: 8, dtype: 'bf16' });
    expect(result.relative_error).toBeGreaterThan(1e-4);
    expect(result.relative_error).toBeLessThan(1e-2);
  });

  it('takes for each module the smallest rank that keeps the energy', async () => {
    const { result } = await shrunk('qv-r8', { energy: 0.8, dtype: 'f32' });
    for (const { module, rank } of result.modules) {
      expect([module, lostBeyond(rank, module) ** 2 <= 0.2, lostBeyond(rank - 1, module) ** 2 > 0.2]).toEqual(
        [module, true, true],
      );
    }
  });

  it.each([
    'qv-r8',
    'rslora-r4',
    'patterns',
    'dora-r8',
    'save-lm-head',
    'embed-lm-head',
    'all-r16-bf16',
    'some-layers',
  ])('%s is an adapter again, with all else that it held', async (adapter) => {
    const { config, header, bytes, from, result } = await shrunk(adapter, { rank: 2 });
    const shapes = Object.fromEntries(
      header.tensors.map(({ name, shape, dtype }) => [name, { shape, dtype }]),
    );
    const report = readReport(config, shapes, base);
    expect([report.report.errors, report.verdict]).toEqual([[], 'accepted']);
    expect(result.modules.every(({ rank }) => rank <= 2)).toBe(true);
    for (const { name, dtype, begin, end } of from.header.tensors) {
      const tensor = header.tensors.find((each) => each.name === name);
      expect([name, tensor?.dtype]).toEqual([name, dtype]);
      if (/lora_(embedding_)?[AB]/.test(name) || !tensor) continue;
      const before = Buffer.from(await from.source.read(begin, end));
      expect(before.equals(bytes.subarray(tensor.begin, tensor.end))).toBe(true);
    }
  });
});
