import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { BaseModel } from '#contracts/base-model.js';
import { decodeFloats, type FloatDtype } from '#safetensors/floats.js';
import { readSafetensors } from '#safetensors/reader.js';
import { writeSafetensors } from '#safetensors/writer.js';
import { readAdapter } from '../peft/read-adapter.js';
import { compose } from './compose.js';
import { DerivedFile } from './derived-file.js';
import { shrink } from './shrink.js';
import type { SourceVersion } from './source-version.js';

/* A layer of three experts, hidden 8, width 6. */

const [HIDDEN, WIDTH, COUNT, RANK] = [8, 6, 3, 2];
const LEAVES = ['gate_proj', 'up_proj', 'down_proj'];
const base: BaseModel = {
  name: 'base',
  digest: 'b'.repeat(64),
  architecture: 'Qwen3MoeForCausalLM',
  hiddenSize: HIDDEN,
  numLayers: 1,
  vocabSize: 40,
  maxContext: 64,
  tieWordEmbeddings: false,
  quantization: 'none',
  modules: [
    { name: 'model.layers.0.self_attn.q_proj', kind: 'linear', out: HIDDEN, in: HIDDEN, bias: false },
  ],
  experts: [
    {
      name: 'model.layers.0.mlp.experts',
      count: COUNT,
      hidden: HIDDEN,
      width: WIDTH,
      gate: 'gate_proj',
      up: 'up_proj',
      down: 'down_proj',
      fusedUp: 'gate_up_proj',
      fusedDown: 'down_proj',
    },
  ],
};

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lorikeet-experts-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

type Shapes = readonly (readonly [string, readonly [number, number]])[];

const SINGLES: Shapes = Array.from({ length: COUNT }, (_, expert) =>
  LEAVES.flatMap((leaf) => {
    const [out, width] = leaf === 'down_proj' ? [HIDDEN, WIDTH] : [WIDTH, HIDDEN];
    const path = `base_model.model.model.layers.0.mlp.experts.${expert}.${leaf}`;
    return [
      [`${path}.lora_A.weight`, [RANK, width]],
      [`${path}.lora_B.weight`, [out, RANK]],
    ] as [string, [number, number]][];
  }),
).flat();
const STACKED: Shapes = [
  ['base_model.model.model.layers.0.mlp.experts.base_layer.lora_A.weight', [COUNT * RANK, HIDDEN]],
  ['base_model.model.model.layers.0.mlp.experts.base_layer.lora_B.weight', [2 * WIDTH, COUNT * RANK]],
  ['base_model.model.model.layers.0.mlp.experts.lora_A.weight', [COUNT * RANK, WIDTH]],
  ['base_model.model.model.layers.0.mlp.experts.lora_B.weight', [HIDDEN, COUNT * RANK]],
];

/** A is over the outputs, B over the inputs. */
const TURNED: Shapes = [
  ['base_model.model.model.layers.0.mlp.experts.base_layer.lora_A.weight', [COUNT * RANK, 2 * WIDTH]],
  ['base_model.model.model.layers.0.mlp.experts.base_layer.lora_B.weight', [HIDDEN, COUNT * RANK]],
  ['base_model.model.model.layers.0.mlp.experts.lora_A.weight', [COUNT * RANK, HIDDEN]],
  ['base_model.model.model.layers.0.mlp.experts.lora_B.weight', [WIDTH, COUNT * RANK]],
];

function source(name: string, shapes: Shapes, config: object, seed = 1) {
  let state = seed;
  const tensors = shapes.map(([tensor, shape]) => {
    const values = Float32Array.from({ length: shape[0] * shape[1] }, () => Math.sin((state += 1)));
    return { name: tensor, dtype: 'F32' as const, shape, bytes: new Uint8Array(values.buffer) };
  });
  const bytes = writeSafetensors(tensors);
  const { header } = readSafetensors(bytes);
  const own = { peft_type: 'LORA', r: RANK, lora_alpha: 2 * RANK, ...config };
  const weights = { sha256: 'a'.repeat(64), bytes: bytes.length };
  const read = readAdapter({ configJson: JSON.stringify(own), header, base, weights });
  if (read.verdict === 'rejected') throw new Error(JSON.stringify(read.report.errors));
  const version: SourceVersion = {
    name,
    weight: 1,
    manifest: read.manifest,
    config: own,
    read: async (begin, end) => bytes.subarray(begin, end),
  };
  return { source: version, header, bytes: Buffer.from(bytes) };
}

async function written(make: (file: DerivedFile) => Promise<{ config: object }>) {
  const path = join(folder, 'made.safetensors');
  const file = await DerivedFile.create(path);
  const { config } = await make(file);
  await file.finish();
  await file.close();
  const bytes = await readFile(path);
  const { header } = readSafetensors(bytes);
  const weights = { sha256: 'c'.repeat(64), bytes: bytes.length };
  const read = readAdapter({ configJson: JSON.stringify(config), header, base, weights });
  if (read.verdict === 'rejected') throw new Error(JSON.stringify(read.report.errors));
  return { manifest: read.manifest, bytes };
}

/** scale B A of a module. */
function deltaOf({ manifest, bytes }: Awaited<ReturnType<typeof written>>, module: string): number[][] {
  const lora = manifest.modules.find((each) => each.module === module)?.lora;
  if (!lora) throw new Error(module);
  const floats = ({ dtype, begin, end }: { dtype: string; begin: number; end: number }) =>
    decodeFloats(dtype as FloatDtype, bytes.subarray(begin, end));
  const [a, b] = [floats(lora.a), floats(lora.b)];
  const [rows, columns] = [b.length / lora.rank, a.length / lora.rank];
  return Array.from({ length: rows }, (_, row) =>
    Array.from({ length: columns }, (_, column) => {
      let sum = 0;
      for (let i = 0; i < lora.rank; i += 1)
        sum += (b[row * lora.rank + i] as number) * (a[i * columns + column] as number);
      return lora.scale * sum;
    }),
  );
}

const config = { target_modules: LEAVES };
const first = source('a@1', SINGLES, config);
const second = source('b@1', SINGLES, config, 100);
const asWritten = ({ source: { manifest, read } }: typeof first) => ({ manifest, read });

async function deltaIn(version: typeof first, module: string): Promise<number[][]> {
  const { manifest, read } = asWritten(version);
  const bytes = Buffer.from(await read(0, manifest.weights.bytes));
  return deltaOf({ manifest, bytes }, module);
}

describe('versions of experts', () => {
  it('are composed expert by expert: cat is the sum', async () => {
    const made = await written((file) =>
      compose({ operation: 'compose', method: 'cat', dtype: 'f32' }, [first.source, second.source], {
        file,
        onModule: () => undefined,
      }),
    );
    expect(made.manifest.modules).toHaveLength(COUNT * LEAVES.length);
    for (const { module } of made.manifest.modules) {
      const [one, two] = [await deltaIn(first, module), await deltaIn(second, module)];
      for (const [row, values] of deltaOf(made, module).entries())
        for (const [column, value] of values.entries())
          expect(value).toBeCloseTo((one[row]?.[column] ?? 0) + (two[row]?.[column] ?? 0), 4);
    }
  });

  it('are shrunk expert by expert, and lose nothing at their own rank', async () => {
    const made = await written((file) =>
      shrink({ operation: 'shrink', rank: RANK }, first, { file, onModule: () => undefined }),
    );
    for (const { module } of made.manifest.modules) {
      const wanted = await deltaIn(first, module);
      for (const [row, values] of deltaOf(made, module).entries())
        for (const [column, value] of values.entries())
          expect(value).toBeCloseTo(wanted[row]?.[column] ?? 0, 4);
    }
  });

  describe.each([
    ['of all experts in one', false],
    ['of all experts in one, as PEFT wrote them before 0.21', true],
  ])('%s', (_, turned) => {
    const targets = ['mlp.experts.gate_up_proj', 'mlp.experts.down_proj'];
    const fields = { target_modules: [], target_parameters: targets };
    const stacked = source('c@1', turned ? TURNED : STACKED, fields);
    const other = source('d@1', turned ? TURNED : STACKED, fields, 500);

    it('are composed expert by expert', async () => {
      const made = await written((file) =>
        compose({ operation: 'compose', method: 'cat', dtype: 'f32' }, [stacked.source, other.source], {
          file,
          onModule: () => undefined,
        }),
      );
      expect(made.manifest.modules).toHaveLength(2 * COUNT);
      for (const [at, leaf] of ['gate_up_proj', 'down_proj'].entries()) {
        for (let expert = 0; expert < COUNT; expert += 1) {
          const [one, two] = [stacked, other].map((each) => stackDelta(each, { at, expert, turned }));
          const own = made.manifest.modules.find(({ module }) => module.endsWith(`.${expert}.${leaf}`));
          near(
            deltaOf(made, own?.module ?? leaf),
            (row, column) => (one?.(row, column) ?? 0) + (two?.(row, column) ?? 0),
          );
        }
      }
    });

    it('are shrunk expert by expert, and become single experts', async () => {
      const made = await written((file) =>
        shrink({ operation: 'shrink', rank: RANK }, stacked, { file, onModule: () => undefined }),
      );
      expect(made.manifest.modules).toHaveLength(2 * COUNT);
      for (const [at, leaf] of ['gate_up_proj', 'down_proj'].entries()) {
        for (let expert = 0; expert < COUNT; expert += 1) {
          const own = made.manifest.modules.find(({ module }) => module.endsWith(`.${expert}.${leaf}`));
          near(deltaOf(made, own?.module ?? leaf), stackDelta(stacked, { at, expert, turned }));
        }
      }
    });
  });
});

function near(found: number[][], wanted: (row: number, column: number) => number): void {
  for (const [row, values] of found.entries())
    for (const [column, value] of values.entries()) expect(value).toBeCloseTo(wanted(row, column), 4);
}

/** As PEFT's get_delta_weight has it: einsum('o r e, e r i -> e o i', B.reshape(out, r, E), A.reshape(E, r, in)). */
function stackDelta(
  { source: { manifest, read: _ }, bytes }: typeof first,
  { at, expert, turned }: { at: number; expert: number; turned: boolean },
): (row: number, column: number) => number {
  const lora = manifest.modules[at]?.lora;
  if (!lora) throw new Error('no stack');
  const floats = ({ dtype, begin, end }: { dtype: string; begin: number; end: number }) =>
    decodeFloats(dtype as FloatDtype, bytes.subarray(begin, end));
  const [a, b] = [floats(lora.a), floats(lora.b)];
  const width = a.length / (RANK * COUNT);
  const delta = (row: number, column: number): number => {
    let sum = 0;
    for (let k = 0; k < RANK; k += 1)
      sum +=
        (b[row * RANK * COUNT + k * COUNT + expert] as number) *
        (a[(expert * RANK + k) * width + column] as number);
    return lora.scale * sum;
  };
  return turned ? (row, column) => delta(column, row) : delta;
}
