import type { ManifestModule } from '#contracts/adapter-manifest.js';
import { MergeError } from './merge-error.js';
import type { TensorFile } from './tensor-file.js';

/** What an adapter does to one weight, read once. Rows are those of [out, in]; of an embedding [in = vocabulary, out]. */
export interface WeightChange {
  /** [in] numbers each, in float32: in place of the base's row where the adapter has one, then with the delta. */
  readonly row: (index: number, base: Float32Array) => Float32Array;
  readonly rows: number;
  readonly columns: number;
}

export interface Weight {
  readonly rows: number;
  readonly columns: number;
  /** Rows are of tokens. */
  readonly embedding: boolean;
}

/**
 * W' = weight ?? W;  V = W' + scale B A;  V = (magnitude / ||V||_row) V. Sums are in float64 and rounded to float32 once.
 * Throws MergeError where shapes do not fit.
 */
export async function weightChange(
  module: ManifestModule,
  { rows, columns, embedding }: Weight,
  adapter: TensorFile,
): Promise<WeightChange> {
  const { lora, weight, magnitude, tokenRows } = module;
  const replaced = weight && (await adapter.floats(weight));
  expectLength(module, 'weight', replaced?.length, rows * columns);
  const tokens = tokenRows && {
    at: new Map(tokenRows.indices.map((index, place) => [index, place])),
    values: await adapter.floats(tokenRows.rows),
  };
  const [a, b] = lora ? [await adapter.floats(lora.a), await adapter.floats(lora.b)] : [undefined, undefined];
  const rank = lora?.rank ?? 0;
  expectLength(module, 'lora_A', a?.length, rank * (embedding ? rows : columns));
  expectLength(module, 'lora_B', b?.length, rank * (embedding ? columns : rows));
  // Of an embedding, row t is W[t] + scale * (B A[:, t]): the roles of the factors change.
  const factor = embedding
    ? (row: number, i: number) => (a as Float32Array)[i * rows + row] as number
    : (row: number, i: number) => (b as Float32Array)[row * rank + i] as number;
  const across = embedding ? transposed(b, rank) : a;
  const sizes = magnitude && (await adapter.floats(magnitude));
  expectLength(module, 'magnitude', sizes?.length, embedding ? columns : rows);
  if (sizes && embedding) throw new MergeError(`${module.module}: DoRA of an embedding is not merged.`);
  const sum = new Float64Array(columns);
  return {
    rows,
    columns,
    row: (index, base) => {
      const token = tokens?.at.get(index);
      const from = replaced ? replaced.subarray(index * columns, (index + 1) * columns) : base;
      sum.set(
        token === undefined
          ? from
          : (tokens as { values: Float32Array }).values.subarray(token * columns, (token + 1) * columns),
      );
      for (let i = 0; i < rank; i += 1) {
        const scaled = (lora?.scale ?? 1) * factor(index, i);
        if (scaled !== 0) addScaled(sum, scaled, across as Float32Array, i * columns);
      }
      if (sizes) rescale(sum, sizes[index] as number);
      return Float32Array.from(sum);
    },
  };
}

function addScaled(sum: Float64Array, factor: number, values: Float32Array, begin: number): void {
  for (let at = 0; at < sum.length; at += 1)
    sum[at] = (sum[at] as number) + factor * (values[begin + at] as number);
}

function rescale(sum: Float64Array, size: number): void {
  let squares = 0;
  for (const value of sum) squares += value * value;
  const factor = size / Math.sqrt(squares);
  for (let at = 0; at < sum.length; at += 1) sum[at] = (sum[at] as number) * factor;
}

/** [rows, rank] to [rank, rows]. */
function transposed(values: Float32Array | undefined, rank: number): Float32Array | undefined {
  if (!values) return undefined;
  const rows = values.length / rank;
  return Float32Array.from(values, (_, at) => values[(at % rows) * rank + Math.floor(at / rows)] as number);
}

function expectLength(
  { module }: ManifestModule,
  what: string,
  found: number | undefined,
  wanted: number,
): void {
  if (found === undefined || found === wanted) return;
  throw new MergeError(
    `${module}: the adapter's ${what} has ${found} elements, and the checkpoint wants ${wanted}.`,
  );
}
