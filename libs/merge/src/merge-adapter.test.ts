import { existsSync, readFileSync } from 'node:fs';
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { baseDigest } from '#serving/base-digest.js';
import { decodeFloats, type FloatDtype } from '#safetensors/floats.js';
import { readSafetensors } from '#safetensors/reader.js';
import { WEIGHTS } from '../../../test/support/adapter-form.js';
import { llamaBase } from '../../../test/support/llama-base.js';
import { sourceVersion } from '../../../test/support/source-version.js';
import { openCheckpoint } from './checkpoint.js';
import { dequantizeCheckpoint } from './dequantize/dequantize-checkpoint.js';
import { mergeAdapter } from './merge-adapter.js';

interface Run {
  readonly adapter: string;
  readonly model: string;
  readonly weights: Readonly<
    Record<string, { readonly at: number[]; readonly values: number[]; readonly norm: number }>
  >;
}

const golden = fileURLToPath(new URL('../../../test/golden/', import.meta.url));
const runs = JSON.parse(readFileSync(join(golden, 'derived/merged.json'), 'utf8')) as Run[];
const MODEL = join(golden, 'cases/llama-gqa/model');

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lorikeet-merged-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

let made = 0;
async function merged(adapter: string, { model = MODEL, anyBase = true, base = '' } = {}) {
  const config = pathToFileURL(join(model, 'config.json'));
  const { source } = sourceVersion(join(golden, adapter), {
    ...llamaBase(config),
    ...(base && { digest: base }),
  });
  const target = join(folder, `merged-${(made += 1)}`);
  const weights = join(golden, adapter, WEIGHTS);
  const signal = new AbortController().signal;
  return {
    ...(await mergeAdapter({
      manifest: source.manifest,
      weights,
      checkpoint: model,
      target,
      anyBase,
      signal,
    })),
    target,
  };
}

async function tensorsOf(model: string): Promise<Map<string, { dtype: string; values: Float32Array }>> {
  const tensors = new Map<string, { dtype: string; values: Float32Array }>();
  for (const name of await readdir(model)) {
    if (!name.endsWith('.safetensors')) continue;
    const bytes = await readFile(join(model, name));
    for (const { name: tensor, dtype, begin, end } of readSafetensors(bytes).header.tensors)
      tensors.set(tensor, { dtype, values: decodeFloats(dtype as FloatDtype, bytes.subarray(begin, end)) });
  }
  return tensors;
}

/** What was one tensor is two now, and the files say so. */
function untied(target: string, before: Map<string, { dtype: string; values: Float32Array }>): void {
  const table = before.get('model.embed_tokens.weight');
  if (table) before.set('lm_head.weight', table);
  const json = (name: string) =>
    JSON.parse(readFileSync(join(target, name), 'utf8')) as Record<string, object>;
  expect(json('config.json').tie_word_embeddings).toBe(false);
  expect(json('model.safetensors.index.json').weight_map).toMatchObject({
    'lm_head.weight': 'model-lm-head.safetensors',
    'model.embed_tokens.weight': 'model-base.safetensors',
  });
  // Transformers would read it alone.
  expect(existsSync(join(target, 'model.safetensors'))).toBe(false);
}

describe('a merged checkpoint', () => {
  it.each(runs)('has the weights of merge_and_unload: $adapter', async ({ adapter, model, weights }) => {
    const { target } = await merged(adapter, { model: join(golden, model) });
    const [before, after] = [await tensorsOf(join(golden, model)), await tensorsOf(target)];
    if (after.has('lm_head.weight') && !before.has('lm_head.weight')) untied(target, before);
    expect([...after.keys()].sort()).toEqual([...before.keys()].sort());
    for (const [name, { dtype, values }] of after) {
      const wanted = weights[name];
      const old = before.get(name);
      expect([name, dtype]).toEqual([name, old?.dtype]);
      if (!wanted) {
        expect([
          name,
          Buffer.from(values.buffer).equals(Buffer.from(old?.values.buffer ?? new ArrayBuffer(0))),
        ]).toEqual([name, true]);
        continue;
      }
      // The file's own type rounds: half of its last bit, and as much for the golden's six digits.
      const rounding = dtype === 'BF16' ? 2 ** -8 : dtype === 'F16' ? 2 ** -10 : 2 ** -17;
      for (const [at, place] of wanted.at.entries()) {
        const value = wanted.values[at] ?? 0;
        expect(Math.abs((values[place] ?? 0) - value), `${name} ${place}`).toBeLessThan(
          Math.abs(value) * rounding + 1e-6,
        );
      }
      const norm = Math.sqrt(
        values.reduce((sum, value, at) => sum + (value - (old?.values[at] ?? 0)) ** 2, 0),
      );
      expect(norm / wanted.norm, name).toBeCloseTo(1, 1);
    }
  });

  it('is a folder like the base, sharded as it is, with all that lies beside its weights', async () => {
    const { target, files } = await merged('cases/llama-gqa/adapters/qv-r8');
    expect((await readdir(target)).sort()).toEqual((await readdir(MODEL)).sort());
    expect(files.map(({ name }) => name).sort()).toEqual((await readdir(MODEL)).sort());
    expect(existsSync(`${target}.partial`)).toBe(false);
  });

  it('is made of the base that the version was validated against, unless any is wanted', async () => {
    const base = await baseDigest(MODEL);
    const adapter = 'cases/llama-gqa/adapters/qv-r8';
    expect((await merged(adapter, { anyBase: false, base })).changed).toBe(6);
    await expect(merged(adapter, { anyBase: false })).rejects.toThrow(
      'is not the base that the version was validated against',
    );
  });

  it.each([['peft-cases/biased/adapters/dora-embeddings', 'DoRA of an embedding']])(
    'is refused for %s',
    async (adapter, why) => {
      const model = join(golden, adapter, '../../model');
      await expect(merged(adapter, { model })).rejects.toThrow(why);
    },
  );

  it('is refused for a quantized base, a base without the module, and in the place of a folder', async () => {
    const copy = join(folder, 'quantized');
    await cp(MODEL, copy, { recursive: true });
    const config = JSON.parse(await readFile(join(copy, 'config.json'), 'utf8')) as object;
    await writeFile(
      join(copy, 'config.json'),
      JSON.stringify({ ...config, quantization_config: { bits: 4 } }),
    );
    const { source } = sourceVersion(
      join(golden, 'cases/llama-gqa/adapters/qv-r8'),
      llamaBase(pathToFileURL(join(MODEL, 'config.json'))),
    );
    const order = {
      manifest: source.manifest,
      weights: join(golden, 'cases/llama-gqa/adapters/qv-r8', WEIGHTS),
      anyBase: true,
      signal: new AbortController().signal,
    };
    const target = join(folder, 'none');
    await expect(mergeAdapter({ ...order, checkpoint: copy, target })).rejects.toThrow('is quantized');
    const phi = join(golden, 'cases/phi3-fused/model');
    await expect(mergeAdapter({ ...order, checkpoint: phi, target })).rejects.toThrow(
      'The checkpoint has no weight of',
    );
    await expect(mergeAdapter({ ...order, checkpoint: MODEL, target: folder })).rejects.toThrow(
      'is there already',
    );
    expect(existsSync(target)).toBe(false);
  });

  it.each(['gptq-4bit-act-order', 'fp8-block', 'mlx-4bit'])(
    'of a quantized base (%s) is of the weights that it stands for, where that is asked for',
    async (format) => {
      const model = join(golden, 'packed', format, 'model');
      const dense = await denseOf(model, format);
      const { source } = sourceVersion(
        join(golden, 'packed/adapters/lora'),
        llamaBase(pathToFileURL(join(model, 'config.json'))),
      );
      const order = {
        manifest: source.manifest,
        weights: join(golden, 'packed/adapters/lora', WEIGHTS),
        anyBase: true,
        signal: new AbortController().signal,
      };
      const target = join(folder, `of-${format}`);
      await expect(mergeAdapter({ ...order, checkpoint: model, target })).rejects.toThrow(
        /is quantized \(\S+\).*`dequantize`/,
      );
      const steps: [number, number][] = [];
      const onProgress = (done: number, total: number): number => steps.push([done, total]);
      await mergeAdapter({ ...order, checkpoint: model, target, dequantize: true, onProgress });
      expect(steps.at(-1)?.[0]).toBeLessThanOrEqual(steps.at(-1)?.[1] ?? 0);
      // As merged into the dense checkpoint of the same weights.
      const twice = join(folder, `dense-${format}`);
      await mergeAdapter({ ...order, checkpoint: dense, target: twice });
      expect(await tensorsOf(target)).toEqual(await tensorsOf(twice));
      expect((await tensorsOf(target)).get('model.layers.0.self_attn.q_proj.weight')?.dtype).toBe('BF16');
      expect(existsSync(`${target}.dense`)).toBe(false);
    },
  );
});

async function denseOf(model: string, name: string): Promise<string> {
  const base = await openCheckpoint(model);
  const quantized = base.quantized?.packed;
  if (!quantized) throw new Error(`${name} is quantized`);
  const target = join(folder, `plain-${name}`);
  const signal = new AbortController().signal;
  await dequantizeCheckpoint({ base, quantized, target, onBytes: () => undefined, signal });
  return target;
}
