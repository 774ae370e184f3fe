import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { AdapterManifest, ManifestModule, TensorRef } from '#contracts/adapter-manifest.js';
import { readSafetensors } from '#safetensors/reader.js';
import { type TensorData, writeSafetensors } from '#safetensors/writer.js';
import type { FloatDtype } from '#safetensors/floats.js';
import { scanWeights } from './scan-weights.js';

const BYTES: Readonly<Record<FloatDtype, number>> = { F64: 8, F32: 4, F16: 2, BF16: 2 };

/** Only what these tests need: exact in every dtype. */
function encode(dtype: FloatDtype, value: number): number[] {
  const view = new DataView(new ArrayBuffer(8));
  if (dtype === 'F64') view.setFloat64(0, value, true);
  if (dtype === 'F32') view.setFloat32(0, value, true);
  if (dtype === 'BF16') {
    view.setFloat32(4, value, true);
    view.setUint16(0, view.getUint16(6, true), true);
  }
  if (dtype === 'F16') {
    const special = Number.isNaN(value) ? 0x7e00 : value === 0 ? 0 : Number.isFinite(value) ? 0x3c00 : 0x7c00;
    view.setUint16(0, special | (value < 0 || Object.is(value, -0) ? 0x8000 : 0), true);
  }
  return [...new Uint8Array(view.buffer, 0, BYTES[dtype])];
}

const tensor = (name: string, dtype: FloatDtype, shape: number[], values: number[]): TensorData => ({
  name,
  dtype,
  shape,
  bytes: Uint8Array.from(values.flatMap((value) => encode(dtype, value))),
});

function fileOf(tensors: TensorData[]) {
  const bytes = writeSafetensors(tensors);
  return { bytes, header: readSafetensors(bytes).header };
}

const manifest = (modules: ManifestModule[]): AdapterManifest => ({
  format: 'lorikeet.adapter.v1',
  base: 'b',
  weights: { sha256: 'a', bytes: 1 },
  modules,
});
const base = { modules: [], vocabSize: 10 };
const ref = (name: string) => ({ name }) as TensorRef;
const lora = (a: string, b: string, loraBias?: string): ManifestModule => ({
  module: 'm',
  lora: { rank: 1, scale: 1, a: ref(a), b: ref(b), ...(loraBias && { loraBias: ref(loraBias) }) },
});

async function* inPieces(bytes: Uint8Array, size: number) {
  for (let at = 0; at < bytes.length; at += size) yield bytes.slice(at, at + size);
}

async function scan(tensors: TensorData[], modules: ManifestModule[], pieceBytes = 1 << 16) {
  const { bytes, header } = fileOf(tensors);
  const signal = new AbortController().signal;
  const chunks = inPieces(bytes, pieceBytes);
  return (await scanWeights({ chunks, header, manifest: manifest(modules), base, signal })).problems;
}

describe('weights', () => {
  const dtypes = ['F64', 'F32', 'F16', 'BF16'] as const;
  const kinds = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  const cases = dtypes.flatMap((dtype) => kinds.map((value): [FloatDtype, number] => [dtype, value]));
  it.each(cases)('in %s with %s are refused, naming the first place', async (dtype, value) => {
    const bad = tensor('b', dtype, [2, 3], [1, 1, 1, 1, value, value]);
    const problems = await scan([tensor('a', dtype, [1], [1]), bad], [lora('a', 'b')]);
    expect(problems).toEqual([
      { code: 'weights_not_finite', message: `b[1, 1] is ${value}.`, tensor: 'b', found: String(value) },
    ]);
  });

  it('in F64 beyond float32 are refused', async () => {
    const problems = await scan(
      [tensor('a', 'F64', [1], [1e300]), tensor('b', 'F64', [1], [1])],
      [lora('a', 'b')],
    );
    expect(problems).toMatchObject([{ code: 'weights_not_finite', found: '1e+300' }]);
  });

  it('of every broken tensor are reported, each once', async () => {
    const bad = ['a', 'b', 'c'].map((name) => tensor(name, 'F32', [2], [Number.NaN, Number.NaN]));
    const problems = await scan(bad, [lora('a', 'b')], 3);
    expect(problems.map((problem) => problem.tensor)).toEqual(['a', 'b', 'c']);
  });

  it('are found wherever the chunks are cut', async () => {
    const property = fc.asyncProperty(
      fc.integer({ min: 1, max: 50 }),
      fc.constantFrom(...dtypes),
      fc.nat(9),
      async (pieceBytes, dtype, at) => {
        const values = Array.from({ length: 10 }, (_, index) => (index === at ? Number.NaN : 1));
        const tensors = [tensor('a', 'F16', [3], [1, 0, 1]), tensor('b', dtype, [10], values)];
        const problems = await scan(tensors, [lora('a', 'b')], pieceBytes);
        return problems.length === 1 && problems[0]?.message === `b[${at}] is NaN.`;
      },
    );
    await expect(fc.assert(property)).resolves.toBeUndefined();
  });

  it('that end too early are an error, not a verdict', async () => {
    const { bytes, header } = fileOf([tensor('a', 'F32', [2], [1, 1])]);
    const cut = scanWeights({
      chunks: inPieces(bytes.subarray(0, -1), 8),
      header,
      manifest: manifest([]),
      base,
      signal: new AbortController().signal,
    });
    await expect(cut).rejects.toThrow('their header says');
  });

  it('are no longer read once the job is called off', async () => {
    const { bytes, header } = fileOf([tensor('a', 'F32', [2], [1, 1])]);
    const stopped = scanWeights({
      chunks: inPieces(bytes, 8),
      header,
      manifest: manifest([]),
      base,
      signal: AbortSignal.abort(),
    });
    await expect(stopped).rejects.toThrow('aborted');
  });

  it('let other work run and tell how far they are', async () => {
    const large: TensorData = { name: 'a', dtype: 'F32', shape: [4 << 20], bytes: new Uint8Array(16 << 20) };
    const { bytes, header } = fileOf([large]);
    let turns = 0;
    const ticker = setInterval(() => (turns += 1), 0);
    const progress: number[] = [];
    const signal = new AbortController().signal;
    await scanWeights({
      chunks: inPieces(bytes, 16 << 20),
      header,
      manifest: manifest([]),
      base,
      signal,
      onProgress: (done) => progress.push(done),
    });
    clearInterval(ticker);
    expect(turns).toBeGreaterThan(0);
    expect(progress.at(-1)).toBe(bytes.length);
    expect(progress.length).toBeGreaterThan(2);
  });
});

describe('an adapter that changes nothing', () => {
  const zero = tensor('zero', 'BF16', [2], [0, -0]);
  const one = tensor('one', 'BF16', [2], [0, 1]);
  it.each<[string, ManifestModule[]]>([
    ['an untrained lora_B', [lora('one', 'zero')]],
    ['a zero lora_A', [lora('zero', 'one')]],
    ['zeros in every module', [lora('one', 'zero'), lora('zero', 'one')]],
    ['a zero bias', [lora('one', 'zero', 'zero')]],
  ])('is refused: %s', async (_, modules) => {
    expect(await scan([zero, one], modules)).toMatchObject([{ code: 'no_effect' }]);
  });

  it.each<[string, ManifestModule[]]>([
    ['one trained module', [lora('one', 'zero'), lora('one', 'one')]],
    ['a bias on lora_B', [lora('one', 'zero', 'one')]],
    ['a replaced weight', [{ module: 'm', weight: ref('zero') }]],
    ['a magnitude', [{ ...lora('one', 'zero'), magnitude: ref('one') }]],
    ['token rows', [{ module: 'm', tokenRows: { indices: [0], rows: ref('zero') } }]],
  ])('is not one with %s', async (_, modules) => {
    expect(await scan([zero, one], modules)).toEqual([]);
  });
});

describe('weights that are numbers', () => {
  const table = { name: 'table', kind: 'embedding' as const, in: 10, out: 2, bias: false };
  const seen = async (tensors: TensorData[], modules: ManifestModule[]) => {
    const { bytes, header } = fileOf(tensors);
    const refs = new Map(header.tensors.map((info) => [info.name, info as TensorRef]));
    const whole = JSON.parse(JSON.stringify(modules), (_, value: unknown) =>
      typeof value === 'object' && value !== null && 'name' in value ? refs.get(String(value.name)) : value,
    ) as ManifestModule[];
    const signal = new AbortController().signal;
    const chunks = inPieces(bytes, 7);
    const input = { header, manifest: manifest(whole), base: { modules: [table], vocabSize: 10 }, signal };
    return scanWeights({ chunks, ...input });
  };
  /** [10, 2], all ones but one row. */
  const rows = (token: number, value: number, dtype: FloatDtype = 'F32') =>
    tensor(
      'rows',
      dtype,
      [10, 2],
      Array.from({ length: 20 }, (_, at) => (at === 2 * token + 1 ? value : 1)),
    );

  it.each(['F32', 'BF16', 'F64'] as const)(
    'but overflow for one token are refused by its name (%s)',
    async (dtype) => {
      const { problems } = await seen(
        [rows(7, -(2 ** 100), dtype)],
        [{ module: 'table', weight: ref('rows') }],
      );
      expect(problems).toMatchObject([{ code: 'weights_overflow', tensor: 'rows', module: 'table' }]);
      expect(problems[0]?.message).toContain('in the row of token 7');
    },
  );

  it('but overflow in a replaced row are refused by the token that has it', async () => {
    const indices = [40, 41, 42, 43, 44, 45, 46, 47, 48, 49];
    const { problems } = await seen(
      [rows(3, 2 ** 90)],
      [{ module: 'm', tokenRows: { indices, rows: ref('rows') } }],
    );
    expect(problems[0]?.message).toContain('token 43');
  });

  it('but overflow as a product are refused', async () => {
    const [a, b] = [tensor('a', 'F32', [1, 2], [1, 2 ** 40]), tensor('b', 'F32', [2, 1], [2 ** 30, 1])];
    expect((await seen([a, b], [lora('a', 'b')])).problems).toMatchObject([
      { code: 'weights_overflow', tensor: 'a' },
    ]);
  });

  it('and ordinary are fine, and the tokens with the largest are told', async () => {
    const found = await seen([rows(4, 3)], [{ module: 'table', weight: ref('rows') }]);
    expect(found).toEqual({ problems: [], warnings: [], tokens: [4], copies: [] });
    const low = lora('a', 'b');
    const [a, b] = [
      tensor('a', 'F16', [1, 10], [0, 0, 0, 0, 0, 0, 1, 0, 0, 0]),
      tensor('b', 'F16', [2, 1], [1, 1]),
    ];
    expect(await seen([a, b], [{ ...low, module: 'table' }])).toEqual({
      problems: [],
      warnings: [],
      copies: [],
      tokens: [6],
    });
  });

  it('but next to nothing are warned of, and nothing at all once scaled are refused', async () => {
    const tiny = (value: number) => [tensor('a', 'F32', [1], [1]), tensor('b', 'F32', [1], [value])];
    const { problems, warnings } = await seen(tiny(2 ** -60), [lora('a', 'b')]);
    expect([problems, warnings.map(({ code }) => code)]).toEqual([[], ['effect_negligible']]);
    const scaled = lora('a', 'b');
    const module = { ...scaled, lora: { ...scaled.lora, scale: 2 ** -100 } } as ManifestModule;
    expect((await seen(tiny(2 ** -60), [module])).problems).toMatchObject([{ code: 'no_effect' }]);
  });
});
