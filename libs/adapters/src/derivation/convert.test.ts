import { readFileSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { isFloatDtype } from '../peft/scan-floats.js';
import { readSafetensors } from '#safetensors/reader.js';
import { llamaBase } from '../../../../test/support/llama-base.js';
import { sourceVersion } from '../../../../test/support/source-version.js';
import { readMlxConfig } from '../mlx/mlx-config.js';
import { planConversion } from '../mlx/mlx-conversion.js';
import { convertToGguf } from './convert-gguf.js';
import { convertToInt8 } from './convert-int8.js';
import { convertToMlx } from './convert-mlx.js';
import { DerivedFile } from './derived-file.js';
import { decodeFloats, type FloatDtype, turned } from '#safetensors/floats.js';
import { int8Factors } from './int8-factors.js';
import { readFactors } from './source-version.js';

const golden = new URL('../../../../test/golden/', import.meta.url);
const base = llamaBase(new URL('cases/llama-gqa/model/config.json', golden));
const adapters = fileURLToPath(new URL('cases/llama-gqa/adapters/', golden));
/** Without the copy of the embedding that PEFT saved beside deltas of it. */
function sourceOf(adapter: string) {
  const { source } = sourceVersion(join(adapters, adapter), base);
  const modules = source.manifest.modules.map(({ weight, ...module }) =>
    module.lora || !weight ? module : { ...module, weight },
  );
  return { ...source, manifest: { ...source.manifest, modules } };
}

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lorikeet-converted-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe('a version in GGUF', () => {
  const convert = async (adapter: string, to = base) => {
    const path = join(folder, `${adapter}.gguf`);
    await convertToGguf(sourceOf(adapter), { base: to, path });
    return readFile(path);
  };

  it("is the file that llama.cpp's own package writes, byte for byte", async () => {
    const wanted = readFileSync(new URL('derived/qv-r8.gguf', golden));
    expect((await convert('qv-r8')).equals(wanted)).toBe(true);
  });

  it('takes embeddings, and ranks and scales that differ', async () => {
    for (const adapter of ['embed-lm-head', 'patterns', 'all-r16-bf16']) {
      expect((await convert(adapter)).length).toBeGreaterThan(1_000);
    }
  });

  it.each([
    ['dora-r8', base, 'DoRA'],
    ['save-lm-head', base, 'replaces a weight'],
    ['qv-r8', { ...base, architecture: 'OlmoForCausalLM' }, 'Adapters of OlmoForCausalLM have no GGUF form'],
    ['qv-r8', { ...base, heads: undefined }, 'does not say how many heads'],
  ])('is refused for %s, case %#', async (adapter, to, why) => {
    await expect(convert(adapter, to as typeof base)).rejects.toThrow(why);
  });
});

describe("a version in MLX-LM's form", () => {
  async function converted(adapter: string) {
    const path = join(folder, 'adapters.safetensors');
    const file = await DerivedFile.create(path);
    try {
      const source = sourceOf(adapter);
      const { config } = await convertToMlx(source, 'f32', { file, onModule: () => undefined });
      await file.finish();
      return { source, config: config as Record<string, unknown>, bytes: await readFile(path) };
    } finally {
      await file.close();
    }
  }

  it.each(['qv-r8', 'rslora-r4', 'patterns', 'some-layers', 'dora-r8', 'embed-lm-head'])(
    '%s has the same deltas when it is read again',
    async (adapter) => {
      const { source, config, bytes } = await converted(adapter);
      const { adapter: mlx, errors } = readMlxConfig(config, base);
      expect(errors).toEqual([]);
      if (!mlx) throw new Error('no adapter was read');
      const plan = planConversion(mlx, readSafetensors(bytes).header, base);
      if ('errors' in plan) throw new Error(JSON.stringify(plan.errors));
      const factor = (name: string): Float32Array => {
        const found = plan.tensors.find((tensor) => tensor.name === name);
        if (!found || !isFloatDtype(found.dtype)) throw new Error(`${name} is missing`);
        const values = decodeFloats(found.dtype, bytes.subarray(found.from.begin, found.from.end));
        return turned(values, found.from.shape[0] ?? 0);
      };
      for (const { module, lora } of source.manifest.modules) {
        if (!lora) continue;
        const { a, b, rank, scale } = await readFactors(source, lora);
        const parts = lora.a.name.includes('embedding')
          ? ['lora_embedding_A', 'lora_embedding_B']
          : ['lora_A.weight', 'lora_B.weight'];
        const [a2, b2] = parts.map((part) => factor(`base_model.model.${module}.${part}`));
        if (!a2 || !b2) throw new Error(`${module} is missing`);
        const wanted = firstRow(b, a, { rank, scale });
        const found = firstRow(b2, a2, { rank: mlx.rank, scale: mlx.scale });
        for (const [at, value] of found.entries()) expect(value).toBeCloseTo(wanted[at] ?? 0, 6);
      }
    },
  );

  it('is refused for more than factors', async () => {
    await expect(converted('save-lm-head')).rejects.toThrow('MLX-LM has no form for');
  });
});

/** The first row of scale * b a: enough to tell a wrong order, rank or scale. */
function firstRow(
  b: Float32Array,
  a: Float32Array,
  { rank, scale }: { rank: number; scale: number },
): Float64Array {
  const columns = a.length / rank;
  return Float64Array.from({ length: Math.min(columns, 64) }, (_, column) => {
    let sum = 0;
    for (let i = 0; i < rank; i += 1) sum += (b[i] ?? 0) * (a[i * columns + column] ?? 0);
    return scale * sum;
  });
}

describe('a version in int8', () => {
  const convert = async (adapter: string, dtype?: 'f32' | 'bf16') => {
    const { source, header } = sourceVersion(join(adapters, adapter), base);
    const path = join(folder, `${adapter}-${dtype}.safetensors`);
    const file = await DerivedFile.create(path);
    const { config, result } = await convertToInt8({ source, header }, dtype, {
      file,
      onModule: () => undefined,
    });
    await file.finish();
    await file.close();
    return { source, header, config, result, bytes: await readFile(path) };
  };
  const floatsIn = (bytes: Uint8Array): Map<string, Float32Array> =>
    new Map(
      readSafetensors(bytes).header.tensors.map(({ name, dtype, begin, end }) => [
        name,
        decodeFloats(dtype as FloatDtype, bytes.subarray(begin, end)),
      ]),
    );

  it('has factors of whole multiples, loses about a hundredth, and says so', async () => {
    const { source, config, result, bytes } = await convert('qv-r8');
    expect(config).toEqual(source.config);
    expect(result.relative_error).toBeGreaterThan(0.002);
    expect(result.relative_error).toBeLessThan(0.02);
    const tensors = floatsIn(bytes);
    for (const { module, lora } of source.manifest.modules) {
      if (!lora) throw new Error(module);
      const exact = await readFactors(source, lora);
      const a = tensors.get(lora.a.name) as Float32Array;
      const b = turned(tensors.get(lora.b.name) as Float32Array, (exact.b.length / lora.rank) | 0);
      for (const values of [a, b]) {
        const width = values.length / lora.rank;
        for (let row = 0; row < lora.rank; row += 1) {
          const own = values.subarray(row * width, (row + 1) * width);
          const step = Math.max(...own.map(Math.abs)) / 127;
          for (const value of own)
            expect(Math.abs(value / step - Math.round(value / step))).toBeLessThan(1e-4);
        }
      }
      // In float64, element by element.
      const wanted = await lossByHand(exact, { a, b: turned(b, lora.rank) }, lora.scale);
      const said = result.modules.find((each) => each.module === module)?.relative_error;
      expect(said).toBeCloseTo(wanted, 6);
    }
  });

  it('is the same once more, and keeps what is no factor of a linear map', async () => {
    const { source, bytes } = await convert('qv-r8', 'f32');
    const once = floatsIn(bytes);
    for (const { lora } of source.manifest.modules) {
      if (!lora) continue;
      const [a, b] = [once.get(lora.a.name) as Float32Array, once.get(lora.b.name) as Float32Array];
      const twice = int8Factors({ rank: lora.rank, scale: 1, a, b });
      expect(twice.kept).toBe(true);
      for (const [at, value] of twice.a.entries()) expect(value).toBeCloseTo(a[at] as number, 6);
    }
    const { source: other, header, bytes: written } = await convert('embed-lm-head');
    const before = floatsIn(await readFile(join(adapters, 'embed-lm-head', 'adapter_model.safetensors')));
    const after = floatsIn(written);
    expect([...after.keys()].sort()).toEqual(header.tensors.map(({ name }) => name).sort());
    for (const [name, values] of after)
      if (!/lora_[AB]\.weight$/.test(name)) expect(values, `${other.name} ${name}`).toEqual(before.get(name));
  });

  it('keeps factors in bfloat16 where integers would lose too much', () => {
    const a = Float32Array.from({ length: 256 }, (_, at) => (at === 0 ? 1000 : Math.sin(at)));
    const b = Float32Array.from({ length: 64 }, (_, at) => Math.cos(at));
    const { kept, a: rounded } = int8Factors({ rank: 1, scale: 1, a, b });
    expect(kept).toBe(false);
    expect(rounded[5]).toBeCloseTo(Math.sin(5), 2);
  });

  it('is refused for what is in another form', async () => {
    const { source, header } = sourceVersion(join(adapters, 'qv-r8'), base);
    const mlx = { ...source, config: { fine_tune_type: 'lora', lora_parameters: {} } };
    const file = await DerivedFile.create(join(folder, 'refused.safetensors'));
    await expect(
      convertToInt8({ source: mlx, header }, undefined, { file, onModule: () => undefined }),
    ).rejects.toThrow('convert it to peft first');
    await file.close();
  });
});

/** ||BA - B'A'|| over ||BA||, in float64. */
async function lossByHand(
  exact: { readonly a: Float32Array; readonly b: Float32Array; readonly rank: number },
  other: { readonly a: Float32Array; readonly b: Float32Array },
  scale: number,
): Promise<number> {
  const { rank } = exact;
  const [rows, columns] = [exact.b.length / rank, exact.a.length / rank];
  const at = (from: { a: Float32Array; b: Float32Array }, row: number, column: number): number => {
    let sum = 0;
    for (let i = 0; i < rank; i += 1)
      sum += (from.b[row * rank + i] as number) * (from.a[i * columns + column] as number);
    return scale * sum;
  };
  let [total, missing] = [0, 0];
  for (let row = 0; row < rows; row += 1) {
    for (let column = 0; column < columns; column += 1) {
      const value = at(exact, row, column);
      total += value * value;
      missing += (value - at(other, row, column)) ** 2;
    }
  }
  return Math.sqrt(missing / total);
}
