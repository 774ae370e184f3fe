import { readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { decodeFloats, type FloatDtype, roundedTo } from '#safetensors/floats.js';
import { readSafetensors } from '#safetensors/reader.js';
import { openCheckpoint } from '../checkpoint.js';
import { dequantizeCheckpoint } from './dequantize-checkpoint.js';
import { rowOf } from './coded-weight.js';
import { PackedModule, type Part } from './packed-module.js';
import { readPacked } from './read-packed.js';

const FOLDER = fileURLToPath(new URL('../../../../test/golden/packed/', import.meta.url));
const formats = readdirSync(FOLDER).filter((name) => name !== 'adapters');
const goldenOf = (format: string) =>
  JSON.parse(readFileSync(join(FOLDER, format, 'golden.json'), 'utf8')) as {
    dequantized: Record<string, string>;
  };

/** FNV-1a, 64 bits. */
function hashOf(values: Float32Array): string {
  let hash = 0xcbf29ce484222325n;
  for (const byte of new Uint8Array(Float32Array.from(values, (value) => value + 0).buffer))
    hash = ((hash ^ BigInt(byte)) * 0x100000001b3n) & 0xffffffffffffffffn;
  return hash.toString(16).padStart(16, '0');
}

function partsOf(model: string, module: string): Map<string, Part> {
  const file = readFileSync(join(model, 'model.safetensors'));
  const parts = new Map<string, Part>();
  for (const tensor of readSafetensors(file).header.tensors)
    if (tensor.name.startsWith(`${module}.`))
      parts.set(tensor.name.slice(module.length + 1), {
        info: tensor,
        bytes: file.subarray(tensor.begin, tensor.end),
      });
  return parts;
}

async function weightOf(model: string, module: string): Promise<Float32Array> {
  const packed = (await openCheckpoint(model)).quantized?.packed;
  if (!packed) throw new Error('it is quantized');
  const weight = readPacked(new PackedModule(module, partsOf(model, module)), packed);
  const values = new Float32Array(weight.rows * weight.columns);
  for (let row = 0; row < weight.rows; row += 1)
    rowOf(weight, row, values.subarray(row * weight.columns, (row + 1) * weight.columns));
  return values;
}

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lorikeet-dequantized-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe.each(formats)('a checkpoint in %s', (format) => {
  const model = join(FOLDER, format, 'model');
  const { dequantized } = goldenOf(format);

  it('stands for the weights of its definition, bit for bit', async () => {
    for (const [module, hash] of Object.entries(dequantized))
      expect([module, hashOf(await weightOf(model, module))]).toEqual([module, hash]);
  });

  it('is written as bfloat16, and is a dense checkpoint then', async () => {
    const base = await openCheckpoint(model);
    const quantized = base.quantized?.packed;
    if (!quantized) throw new Error('it is quantized');
    const target = join(folder, format);
    const signal = new AbortController().signal;
    await dequantizeCheckpoint({ base, quantized, target, onBytes: () => undefined, signal });
    const written = await openCheckpoint(target);
    expect(written).toMatchObject({ quantized: undefined, shards: ['model.safetensors'] });
    expect(written.config).toMatchObject({ dtype: 'bfloat16', model_type: 'llama' });
    const bytes = readFileSync(join(target, 'model.safetensors'));
    const { tensors } = readSafetensors(bytes).header;
    const packed = readSafetensors(readFileSync(join(model, 'model.safetensors'))).header.tensors;
    const plain = packed.filter(({ name }) => /norm\.weight$|\.bias$/.test(name)).map(({ name }) => name);
    const weights = Object.keys(dequantized).map((module) => `${module}.weight`);
    const table = packed.some(({ name }) => name === 'model.embed_tokens.scales')
      ? []
      : ['model.embed_tokens.weight'];
    expect(tensors.map(({ name }) => name).sort()).toEqual([...weights, ...plain, ...table].sort());
    for (const module of Object.keys(dequantized)) {
      const tensor = tensors.find(({ name }) => name === `${module}.weight`);
      if (!tensor) throw new Error(module);
      expect(tensor.dtype).toBe('BF16');
      const values = decodeFloats(tensor.dtype as FloatDtype, bytes.subarray(tensor.begin, tensor.end));
      expect(values).toEqual(roundedTo('BF16', await weightOf(model, module)));
    }
  });
});

describe('what cannot be dequantized', () => {
  it.each([
    ['gptq-4bit', 'scales', 'has no tensor'],
    ['awq-4bit', 'qzeros', 'has no tensor'],
    ['fp8-block', 'weight_scale_inv', 'has no tensor'],
    ['mlx-4bit', 'biases', 'has no tensor'],
  ])('%s without %s says so', async (format, suffix, text) => {
    const model = join(FOLDER, format, 'model');
    const packed = (await openCheckpoint(model)).quantized?.packed;
    const module = 'model.layers.0.self_attn.q_proj';
    const parts = partsOf(model, module);
    parts.delete(suffix);
    expect(() => packed && readPacked(new PackedModule(module, parts), packed)).toThrow(text);
  });
});

describe("a checkpoint in bitsandbytes' nf4", () => {
  const model = fileURLToPath(new URL('../../../../test/golden/nf4-cases/qlora/model', import.meta.url));
  const plain = fileURLToPath(new URL('../../../../test/golden/nf4-cases/qlora/plain', import.meta.url));

  it('stands for weights that are as close to those that it was made of as sixteen values come', async () => {
    const file = readFileSync(join(plain, 'model.safetensors'));
    const { tensors } = readSafetensors(file).header;
    const module = 'model.layers.0.self_attn.q_proj';
    const tensor = tensors.find(({ name }) => name === `${module}.weight`);
    if (!tensor) throw new Error(module);
    const exact = decodeFloats(tensor.dtype as FloatDtype, file.subarray(tensor.begin, tensor.end));
    const close = await weightOf(model, module);
    expect(close).toHaveLength(exact.length);
    for (let block = 0; block < exact.length; block += 64) {
      const largest = Math.max(...exact.subarray(block, block + 64).map(Math.abs));
      for (let at = block; at < block + 64; at += 1)
        expect(Math.abs((close[at] as number) - (exact[at] as number))).toBeLessThan(0.16 * largest);
    }
  });
});
