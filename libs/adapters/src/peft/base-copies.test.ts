import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import type { ManifestModule, TensorRef } from '#contracts/adapter-manifest.js';
import type { BaseModel } from '#contracts/base-model.js';
import { readSafetensors } from '#safetensors/reader.js';
import { type TensorData, writeSafetensors } from '#safetensors/writer.js';
import { scanWeights } from './scan-weights.js';

/* Four tokens of width 2. */

const table = { name: 'model.embed_tokens', kind: 'embedding', out: 2, in: 4, bias: false } as const;
const head = { name: 'lm_head', kind: 'linear', out: 4, in: 2, bias: false } as const;
const VALUES = [0.5, -1, 2, 0, 1.5, -0.25, 8, 3];

/** Of numbers that bfloat16 holds. */
function bytesOf(dtype: 'F32' | 'BF16', values: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(Float32Array.from(values).buffer);
  return dtype === 'F32' ? bytes : bytes.filter((_, at) => at % 4 > 1);
}
const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
const weightOf = (module: string, values = VALUES) => ({
  module,
  dtype: 'BF16' as const,
  sha256: sha256(bytesOf('BF16', values)),
});

const tensor = (name: string, dtype: 'F32' | 'BF16', values: readonly number[]): TensorData => ({
  name,
  dtype,
  shape: [4, 2],
  bytes: bytesOf(dtype, values),
});
const replaced = (module: string, name: string, dtype: 'F32' | 'BF16'): ManifestModule => ({
  module,
  weight: { name, dtype, shape: [4, 2] } as unknown as TensorRef,
});
const other = replaced('model.norm', 'norm', 'BF16');

async function copiesOf(
  vocabularyWeights: BaseModel['vocabularyWeights'],
  tensors: TensorData[],
  modules: ManifestModule[],
) {
  const bytes = writeSafetensors([...tensors, tensor('norm', 'BF16', VALUES)]);
  async function* chunks() {
    for (let at = 0; at < bytes.length; at += 7) yield bytes.slice(at, at + 7);
  }
  const scan = await scanWeights({
    chunks: chunks(),
    header: readSafetensors(bytes).header,
    manifest: { format: 'lorikeet.adapter.v1', base: 'b', weights: { sha256: 'a', bytes: 1 }, modules },
    base: { modules: [table, head], vocabSize: 4, ...(vocabularyWeights && { vocabularyWeights }) },
    signal: new AbortController().signal,
  });
  return { copies: scan.copies, codes: scan.problems.map(({ code }) => code) };
}

describe('weights of the embedding and the head in an adapter', () => {
  const untied = [weightOf(table.name), weightOf(head.name, [1, ...VALUES.slice(1)])];
  it.each(['BF16', 'F32'] as const)('in %s are known as the copy that they are', async (dtype) => {
    const files = [tensor('table', dtype, VALUES), tensor('head', dtype, VALUES)];
    const modules = [replaced(table.name, 'table', dtype), replaced(head.name, 'head', dtype), other];
    expect(await copiesOf(untied, files, modules)).toEqual({ copies: ['table'], codes: [] });
    expect(await copiesOf(undefined, files, modules)).toEqual({ copies: [], codes: [] });
  });

  it('are no copy where one number differs, by however little', async () => {
    const [first = 0, ...rest] = VALUES;
    for (const value of [first + 2 ** -20, -first]) {
      const files = [tensor('table', 'F32', [value, ...rest])];
      expect(await copiesOf(untied, files, [replaced(table.name, 'table', 'F32')])).toEqual({
        copies: [],
        codes: [],
      });
    }
  });

  it('are compared with the embedding where the head is tied to it', async () => {
    const files = [tensor('both', 'BF16', VALUES)];
    const modules = [replaced(table.name, 'both', 'BF16'), replaced(head.name, 'both', 'BF16'), other];
    expect(await copiesOf([weightOf(table.name)], files, modules)).toEqual({ copies: ['both'], codes: [] });
    expect(await copiesOf(untied, files, modules), 'it takes the place of both').toEqual({
      copies: [],
      codes: [],
    });
  });

  it('leave nothing of an adapter that has nothing else', async () => {
    const modules = [replaced(table.name, 'table', 'BF16')];
    const found = await copiesOf(untied, [tensor('table', 'BF16', VALUES)], modules);
    expect(found).toEqual({ copies: ['table'], codes: ['no_effect'] });
  });
});
