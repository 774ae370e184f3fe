import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Tokenizer } from 'tokenizers';
import { syntheticVocabulary, tokenizerJson } from '../../bench/models/byte-level-bpe.mjs';
import { convertBf16, f16Bits, f16Value } from '../../bench/models/ggml-types.mjs';
import { writeGguf } from '../../bench/models/gguf-file.mjs';
import { ggufName, interleaveRows, rowBeforeInterleaving } from '../../bench/models/gguf-model.mjs';
import { bf16Bits, normalQuantile, normalTable, randomBf16 } from '../../bench/models/random-weights.mjs';
import { checkpointTensors, parameterCount, SHAPE_NAMES, shapeOf } from '../../bench/models/shapes.mjs';
import { Bf16File, writeSafetensors } from '../../bench/models/tensor-file.mjs';

const valuesOf = (bf16: Uint16Array) => new Float32Array(Uint32Array.from(bf16, (word) => word << 16).buffer);
const bf16 = (...values: number[]) => Uint16Array.from(values, bf16Bits);

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'bench-models-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

describe('random weights of the benchmarks', () => {
  it('are normally distributed, never zero, and the same for a seed and name', () => {
    const draw = (seed: string, name: string) => {
      const chunks = [...randomBf16({ seed, name, count: 20_000, table: normalTable(0, 0.02) })];
      return valuesOf(new Uint16Array(Buffer.concat(chunks).buffer.slice(0, 40_000)));
    };
    const values = draw('s', 'a');
    const mean = values.reduce((sum, x) => sum + x, 0) / values.length;
    const deviation = Math.sqrt(values.reduce((sum, x) => sum + (x - mean) ** 2, 0) / values.length);
    expect(Math.abs(mean)).toBeLessThan(0.001);
    expect(deviation).toBeCloseTo(0.02, 3);
    expect(values.every((x) => x !== 0)).toBe(true);
    expect(draw('s', 'a')).toEqual(values);
    expect(draw('s', 'b')).not.toEqual(values);
    expect(draw('t', 'a')).not.toEqual(values);
  });

  it('take the quantiles of the normal distribution', () => {
    for (const [p, z] of [
      [0.5, 0],
      [0.975, 1.959964],
      [0.001, -3.090232],
      [0.999999, 4.753424],
    ] as const)
      expect(normalQuantile(p)).toBeCloseTo(z, 5);
  });

  it('have the sizes that the measurements name', () => {
    expect(parameterCount(shapeOf('160m'))).toBe(124_668_672);
    expect(parameterCount(shapeOf('1b')) / 1e9).toBeCloseTo(1.2358, 4);
    expect(() => shapeOf('2b')).toThrow('expected one of tiny, 160m, 1b, 8b');
  });

  it('are read back as written, by rows', () => {
    const path = join(folder, 'x.safetensors');
    const words = bf16(1, 2, 3, 4, 5, 6);
    writeSafetensors(path, [
      { name: 'gain', shape: [2], chunks: () => [new Uint8Array(bf16(7, 8).buffer)] },
      { name: 'matrix', shape: [3, 2], chunks: () => [new Uint8Array(words.buffer)] },
    ]);
    const file = new Bf16File(path);
    expect(valuesOf(file.rows('matrix', 1, 2))).toEqual(Float32Array.of(3, 4, 5, 6));
    expect(valuesOf(file.rows('gain', 0, 1))).toEqual(Float32Array.of(7, 8));
    file.close();
  });
});

describe('the synthetic tokenizer', () => {
  it('has exactly the wanted size and no token twice', () => {
    for (const size of [2048, 32_000, 128_256]) {
      const { tokens, merges } = syntheticVocabulary(size);
      expect(new Set(tokens).size).toBe(size);
      expect(merges.length).toBe(size - 258);
    }
  });

  it('encodes any text to ids that decode to it', async () => {
    const tokenizer = Tokenizer.fromString(JSON.stringify(tokenizerJson(syntheticVocabulary(2048))));
    const text = 'The quick brown fox, naïve 日本語 🦜\n\tx1';
    const ids = (await tokenizer.encode(text)).getIds();
    expect(ids.length).toBeLessThan(Buffer.byteLength(text));
    expect(await tokenizer.decode([...ids], true)).toBe(text);
  });
});

describe('the GGUF of the benchmarks', () => {
  it('rounds to f16 as hardware does', () => {
    for (const value of [0, -0, 1, -2.5, 65_504, 1e-7, 6.1e-5, 5.96e-8, 3e-8, 0.333251953125, -1e-9]) {
      const back = f16Value(f16Bits(value));
      const step = Math.max(2 ** -24, 2 ** (Math.floor(Math.log2(Math.abs(value) || 1)) - 10));
      expect(Math.abs(back - value)).toBeLessThanOrEqual(step / 2);
    }
    expect(f16Value(f16Bits(-1e6))).toBe(-Infinity);
    expect(f16Bits(2049)).toBe(f16Bits(2048)); // a tie goes to the even neighbour
    expect(f16Bits(2051)).toBe(f16Bits(2052));
  });

  it('keeps every block of 32 within half a quantization step', () => {
    const table = normalTable(0, 1);
    const words = Uint16Array.from({ length: 64 }, (_, i) => table[(i * 9973 + 77) % 65_536] ?? 0);
    const exact = valuesOf(words);
    const q8 = convertBf16(words, 'q8_0');
    const q4 = convertBf16(words, 'q4_0');
    for (let block = 0; block < 2; block++) {
      const scale8 = f16Value((q8[block * 34] ?? 0) | ((q8[block * 34 + 1] ?? 0) << 8));
      const scale4 = f16Value((q4[block * 18] ?? 0) | ((q4[block * 18 + 1] ?? 0) << 8));
      for (let i = 0; i < 32; i++) {
        const value = exact[block * 32 + i] ?? 0;
        const code8 = ((q8[block * 34 + 2 + i] ?? 0) << 24) >> 24;
        expect(Math.abs(code8 * scale8 - value)).toBeLessThanOrEqual(Math.abs(scale8) * 0.57);
        const byte = q4[block * 18 + 2 + (i % 16)] ?? 0;
        const code4 = (i < 16 ? byte & 15 : byte >> 4) - 8;
        // The side of the block without the largest magnitude has no code for +8: one whole step there.
        expect(Math.abs(code4 * scale4 - value)).toBeLessThanOrEqual(Math.abs(scale4) * 1.01);
      }
    }
  });

  it('interleaves the two halves of each head, as neighbouring pairs are rotated', () => {
    expect(Array.from({ length: 8 }, (_, row) => rowBeforeInterleaving(row, 4))).toEqual([
      0, 2, 1, 3, 4, 6, 5, 7,
    ]);
    expect(interleaveRows(Uint16Array.of(1, 2, 3, 4), 1, 4)).toEqual(Uint16Array.of(1, 3, 2, 4));
  });

  it('has a name for every tensor of every shape', () => {
    for (const name of SHAPE_NAMES) {
      const names = checkpointTensors(shapeOf(name)).map((tensor) => ggufName(tensor.name));
      expect(new Set(names).size).toBe(names.length);
    }
    expect(ggufName('model.layers.3.self_attn.o_proj.weight')).toBe('blk.3.attn_output.weight');
    expect(() => ggufName('model.layers.3.other.weight')).toThrow('no GGUF name');
  });

  it('aligns tensors to 32 bytes and writes dimensions fastest first', () => {
    const path = join(folder, 'x.gguf');
    const chunk = (byte: number, bytes: number) => () => [new Uint8Array(bytes).fill(byte)];
    writeGguf(path, new Map([['general.architecture', { string: 'llama' }]]), [
      { name: 'a', shape: [5, 2], type: 0, bytes: 40, chunks: chunk(1, 40) },
      { name: 'b', shape: [4], type: 0, bytes: 16, chunks: chunk(2, 16) },
    ]);
    const bytes = readFileSync(path);
    expect(bytes.subarray(0, 4).toString()).toBe('GGUF');
    expect(bytes.readUInt32LE(4)).toBe(3);
    const first = bytes.indexOf(Buffer.alloc(40, 1));
    expect(first % 32).toBe(0);
    expect(bytes.indexOf(Buffer.alloc(16, 2))).toBe(first + 64);
    const header = bytes.subarray(0, first);
    const dims = header.indexOf(Buffer.from([1, 0, 0, 0, 0, 0, 0, 0, 'a'.charCodeAt(0), 2, 0, 0, 0])) + 13;
    expect([header.readBigUInt64LE(dims), header.readBigUInt64LE(dims + 8)]).toEqual([2n, 5n]);
  });

  it('leaves no file behind when writing fails', () => {
    const path = join(folder, 'x.gguf');
    const tensor = { name: 'a', shape: [4], type: 0, bytes: 16, chunks: () => [new Uint8Array(8)] };
    expect(() => writeGguf(path, new Map(), [tensor])).toThrow('wrote 8 of 16 bytes');
    expect(() => readFileSync(path)).toThrow('ENOENT');
    expect(() => readFileSync(`${path}.part`)).toThrow('ENOENT');
  });
});
