import { existsSync, readFileSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ComposeMethod } from '#contracts/derivations-api.js';
import { readSafetensors } from '#safetensors/reader.js';
import { read as readReport } from '../../../../test/support/adapter-shapes.js';
import { llamaBase } from '../../../../test/support/llama-base.js';
import { sourceVersion } from '../../../../test/support/source-version.js';
import { compose } from './compose.js';
import { DerivedFile } from './derived-file.js';
import { decodeFloats } from '#safetensors/floats.js';
import type { ComposeRecipe } from './recipe.js';

interface Run {
  readonly adapters: Readonly<Record<string, number>>;
  readonly method: ComposeMethod;
  readonly density?: number;
  readonly majority_sign?: 'total' | 'frequency';
  readonly seed?: number;
  readonly rank?: number;
  readonly ranks: Readonly<Record<string, number>>;
}

const golden = new URL('../../../../test/golden/', import.meta.url);
const made = fileURLToPath(new URL('derived/', golden));
const cases = fileURLToPath(new URL('cases/llama-gqa/adapters/', golden));
const base = llamaBase(new URL('cases/llama-gqa/model/config.json', golden));
const runs = JSON.parse(readFileSync(join(made, 'runs.json'), 'utf8')) as Record<string, Run>;
const peft = floatsOf(readFileSync(join(made, 'peft.safetensors')));

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lorikeet-derived-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

function floatsOf(bytes: Uint8Array): Map<string, Float32Array> {
  const { header } = readSafetensors(bytes);
  return new Map(
    header.tensors.map(({ name, dtype, begin, end }) => [
      name,
      decodeFloats(dtype as 'F32', bytes.subarray(begin, end)),
    ]),
  );
}

const folderOf = (adapter: string): string =>
  existsSync(join(made, adapter)) ? join(made, adapter) : join(cases, adapter);

async function composed({ adapters, method, density, majority_sign, seed, rank }: Omit<Run, 'ranks'>) {
  const sources = Object.entries(adapters).map(
    ([name, weight]) => sourceVersion(folderOf(name), base, { name, weight }).source,
  );
  const recipe: ComposeRecipe = {
    operation: 'compose',
    method,
    ...(density !== undefined && { density }),
    ...(majority_sign && { majority_sign }),
    ...(seed !== undefined && { seed }),
    ...(rank !== undefined && { rank }),
    dtype: 'f32',
  };
  const path = join(folder, 'adapter_model.safetensors');
  const file = await DerivedFile.create(path);
  try {
    const derived = await compose(recipe, sources, { file, onModule: () => undefined });
    await file.finish();
    return { ...derived, bytes: await readFile(path) };
  } finally {
    await file.close();
  }
}

describe('a composed version', () => {
  it.each(Object.entries(runs))('%s has the factors of add_weighted_adapter', async (name, run) => {
    const { result, bytes, config } = await composed(run);
    // A module whose inputs have fewer ranks than svd is to give has no more.
    const most = (module: string): number => Math.min(run.ranks[module] ?? 0, summed.get(module) ?? 0);
    const { modules } = await composed({ adapters: run.adapters, method: 'cat' }).then((cat) => cat.result);
    const summed = new Map(modules.map(({ module, rank }) => [module, rank]));
    const wantedRanks = Object.keys(run.ranks).map((module) => [module, most(module)]);
    expect(new Map(result.modules.map(({ module, rank }) => [module, rank]))).toEqual(
      new Map(wantedRanks as [string, number][]),
    );
    const tensors = floatsOf(bytes);
    const compared = [...peft].filter(([key]) => key.startsWith(`${name}/`));
    expect(compared.length).toBeGreaterThan(0);
    for (const [key, wanted] of compared) {
      const [module = '', part = ''] = key.slice(name.length + 1).split(/\.(?=[AB]+$)/);
      const [a, b] = ['A', 'B'].map((letter) =>
        tensors.get(`base_model.model.${module}.lora_${letter}.weight`),
      );
      if (!a || !b) throw new Error(`${module} is missing`);
      if (part === 'BA') expectNear(product(b, a, run.ranks[module] ?? 0), wanted, 5e-6);
      else expect(Buffer.from((part === 'A' ? a : b).buffer).equals(Buffer.from(wanted.buffer))).toBe(true);
    }
    const shapes = Object.fromEntries(
      readSafetensors(bytes).header.tensors.map(({ name: tensor, shape }) => [tensor, shape]),
    );
    expect(readReport(config, shapes, base)).toMatchObject({ verdict: 'accepted' });
  });

  it('keeps the first base name, has scale 1 everywhere, and ranks of its own where they differ', async () => {
    const { config } = await composed({ adapters: { 'qv-r8': 1, 'rslora-r4': 1 }, method: 'cat' });
    const { r, lora_alpha, rank_pattern, alpha_pattern, ...rest } = config as Record<string, unknown>;
    expect([r, lora_alpha]).toEqual([4, 4]);
    expect(rank_pattern).toEqual(alpha_pattern);
    expect(rank_pattern).toMatchObject({ 'model.layers.0.self_attn.q_proj': 12 });
    expect(rest).toMatchObject({ base_model_name_or_path: './llama-gqa/model', use_rslora: false });
  });

  it('draws the same with the same seed only', async () => {
    const draw = async (seed: number) =>
      (await composed({ adapters: { 'qv-r8': 1, 'qv-r8-b': 1 }, method: 'dare_linear', density: 0.5, seed }))
        .bytes;
    const first = await draw(3);
    expect((await draw(3)).equals(first)).toBe(true);
    expect((await draw(4)).equals(first)).toBe(false);
  });

  it('says how far svd lies from the exact sum, and is exact at the full rank', async () => {
    const adapters = { 'qv-r8': 0.7, 'rslora-r4': -0.3 };
    const full = await composed({ adapters, method: 'svd', rank: 12 });
    expect(full.result.relative_error).toBeLessThan(1e-6);
    const low = await composed({ adapters, method: 'svd', rank: 2 });
    expect(low.result.relative_error).toBeGreaterThan(0.1);
    expect(low.result.relative_error).toBeLessThan(1);
    expect((await composed({ adapters, method: 'cat' })).result.relative_error).toBeNull();
  });

  it.each([
    ['dora-r8', 'cat', 'is trained with DoRA'],
    ['save-lm-head', 'cat', 'replaces a weight (modules_to_save)'],
    ['rslora-r4', 'linear', 'linear needs the same rank in all adapters'],
  ] as const)('refuses %s by %s', async (adapter, method, why) => {
    await expect(composed({ adapters: { 'qv-r8': 1, [adapter]: 1 }, method })).rejects.toThrow(why);
  });
});

/** b [out, rank] times a [rank, in] */
function product(b: Float32Array, a: Float32Array, rank: number): Float64Array {
  const [rows, columns] = [b.length / rank, a.length / rank];
  return Float64Array.from({ length: rows * columns }, (_, at) => {
    let sum = 0;
    for (let i = 0; i < rank; i += 1) {
      sum += (b[Math.floor(at / columns) * rank + i] ?? 0) * (a[i * columns + (at % columns)] ?? 0);
    }
    return sum;
  });
}

function expectNear(found: Float64Array, wanted: Float32Array, within: number): void {
  const worst = found.reduce((most, value, at) => Math.max(most, Math.abs(value - (wanted[at] ?? 0))), 0);
  expect(found.length).toBe(wanted.length);
  expect(worst).toBeLessThan(within);
}
