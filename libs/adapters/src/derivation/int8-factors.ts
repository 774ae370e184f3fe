import { roundedTo, turned } from '#safetensors/floats.js';
import type { LowRank } from './low-rank.js';

/* What an engine with ADAPTER_DTYPE=int8 keeps of factors (native/model/narrow.cc, ADR 12), as floats. */

/** Factors that lose more than this share of their size stay in bfloat16. */
const LARGEST_LOSS = 0.03;

const { fround } = Math;

/** A row below it is all zeros. */
const LEAST = 2 ** -100;

/** Rows of whole multiples of one scale each, and what of each row that misses. */
interface Quantized {
  /** [rows, columns] */
  readonly values: Float32Array;
  /** Of each row, of absolute values. */
  readonly sizes: Float64Array;
  readonly errors: Float64Array;
}

/** Each row of A and each column of B as multiples of its largest value over 127; where that loses too much, bfloat16. */
export function int8Factors({ rank, a, b }: LowRank): { a: Float32Array; b: Float32Array; kept: boolean } {
  const rowsOfA = quantizedRows(a, rank);
  const columnsOfB = quantizedRows(turned(b, b.length / rank), rank);
  const close = isClose(rowsOfA, columnsOfB) && isClose(columnsOfB, rowsOfA);
  if (!close) return { a: roundedTo('BF16', a), b: roundedTo('BF16', b), kept: false };
  return { a: rowsOfA.values, b: turned(columnsOfB.values, rank), kept: true };
}

function quantizedRows(from: Float32Array, rows: number): Quantized {
  const columns = from.length / rows;
  const values = new Float32Array(from.length);
  const [sizes, errors] = [new Float64Array(rows), new Float64Array(rows)];
  for (let row = 0; row < rows; row += 1) {
    const own = from.subarray(row * columns, (row + 1) * columns);
    const largest = own.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    const [scale, inverse] = largest < LEAST ? [0, 0] : [fround(largest / 127), fround(127 / largest)];
    for (const [at, value] of own.entries()) {
      const kept = fround(scale * nearest(fround(value * inverse)));
      values[row * columns + at] = kept;
      sizes[row] = (sizes[row] as number) + Math.abs(value);
      errors[row] = (errors[row] as number) + Math.abs(value - kept);
    }
  }
  return { values, sizes, errors };
}

/** Each row counts as much as its outer product with the other's. */
function isClose(one: Quantized, other: Quantized): boolean {
  let [size, error] = [0, 0];
  for (const [row, weight] of other.sizes.entries()) {
    size += (one.sizes[row] as number) * weight;
    error += (one.errors[row] as number) * weight;
  }
  return error <= LARGEST_LOSS * size && Number.isFinite(size);
}

/** To the nearest whole number, of two to the even one. */
function nearest(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  if (rest !== 0.5) return Math.round(value);
  return floor % 2 === 0 ? floor : floor + 1;
}
