import type { FloatDtype } from '#safetensors/floats.js';
import { columnOf, type Matrix, matrix, qr, svd, timesQ, timesTransposed } from './decompositions.js';
import { roundedTo } from '#safetensors/floats.js';

/** scale * b a */
export interface LowRank {
  readonly rank: number;
  readonly scale: number;
  /** [rank, in] */
  readonly a: Float32Array;
  /** [out, rank] */
  readonly b: Float32Array;
}

export interface Fit {
  /** The rank to keep, from the singular values, largest first; it is bounded to how many there are. */
  readonly rank: (values: Float64Array) => number;
  readonly dtypes: { readonly a: FloatDtype; readonly b: FloatDtype };
}

/** What is left of a sum of deltas at a lower rank; its scale is 1. */
export interface Fitted {
  readonly rank: number;
  /** Elements as they are once stored. */
  readonly a: Float32Array;
  readonly b: Float32Array;
  /** Squared Frobenius norms: of the exact sum, and of what this lacks of it. */
  readonly total: number;
  readonly missing: number;
}

/** The nearest matrix of that rank (Eckart and Young); both factors get the root of each singular value. */
export function fitLowRank(terms: readonly LowRank[], { rank: choose, dtypes }: Fit): Fitted {
  const exact = { a: sideA(terms), b: sideB(terms) };
  const [ofA, ofB] = [qr(exact.a), qr(exact.b)];
  const { values, left, right } = svd(timesTransposed(ofB.r, ofA.r));
  const rank = Math.max(1, Math.min(values.length, choose(values)));
  const a = roundedTo(dtypes.a, Float32Array.from(timesQ(ofA, rooted(right, values, rank)).data));
  const b = roundedTo(dtypes.b, rowAfterRow(timesQ(ofB, rooted(left, values, rank))));
  const fitted = [{ rank, scale: -1, a, b }];
  return {
    rank,
    a,
    b,
    total: values.reduce((sum, value) => sum + value * value, 0),
    missing: normOfProduct(beside(exact.b, sideB(fitted)), beside(exact.a, sideA(fitted))),
  };
}

/** Squared Frobenius norms: of a delta, and of what another lacks of it. */
export function lossOf(exact: LowRank, other: LowRank): Pick<Fitted, 'total' | 'missing'> {
  const [b, a] = [sideB([exact]), sideA([exact])];
  const less = { ...other, scale: -other.scale };
  return {
    total: normOfProduct(b, a),
    missing: normOfProduct(beside(b, sideB([less])), beside(a, sideA([less]))),
  };
}

/** The smallest rank that keeps this share of the squared singular values. */
export function rankOfEnergy(energy: number): (values: Float64Array) => number {
  return (values) => {
    const wanted = energy * values.reduce((sum, value) => sum + value * value, 0);
    let kept = 0;
    const at = values.findIndex((value) => (kept += value * value) >= wanted * (1 - 1e-12));
    return at + 1;
  };
}

/** [in, all ranks]: each row of each A is a column. */
function sideA(terms: readonly LowRank[]): Matrix {
  const columns = terms.reduce((sum, { rank }) => sum + rank, 0);
  const result = matrix((terms[0]?.a.length ?? 0) / (terms[0]?.rank ?? 1), columns);
  let at = 0;
  for (const { a } of terms) {
    result.data.set(a, at);
    at += a.length;
  }
  return result;
}

/** [out, all ranks], with the scales. */
function sideB(terms: readonly LowRank[]): Matrix {
  const columns = terms.reduce((sum, { rank }) => sum + rank, 0);
  const result = matrix((terms[0]?.b.length ?? 0) / (terms[0]?.rank ?? 1), columns);
  let first = 0;
  for (const { rank, scale, b } of terms) {
    for (let column = 0; column < rank; column += 1) {
      const to = columnOf(result, first + column);
      for (let row = 0; row < to.length; row += 1) to[row] = scale * (b[row * rank + column] as number);
    }
    first += rank;
  }
  return result;
}

/** The first `rank` columns, each times the root of its singular value. */
function rooted(vectors: Matrix, values: Float64Array, rank: number): Matrix {
  const result = matrix(vectors.rows, rank);
  for (let column = 0; column < rank; column += 1) {
    const root = Math.sqrt(values[column] as number);
    columnOf(result, column).set(columnOf(vectors, column).map((value) => value * root));
  }
  return result;
}

function rowAfterRow({ rows, columns, data }: Matrix): Float32Array {
  return Float32Array.from(data, (_, at) => data[(at % columns) * rows + Math.floor(at / columns)] as number);
}

function beside(first: Matrix, second: Matrix): Matrix {
  const result = matrix(first.rows, first.columns + second.columns);
  result.data.set(first.data);
  result.data.set(second.data, first.data.length);
  return result;
}

/** The squared Frobenius norm of b times the transpose of a, without either being multiplied out. */
function normOfProduct(b: Matrix, a: Matrix): number {
  return timesTransposed(qr(b).r, qr(a).r).data.reduce((sum, value) => sum + value * value, 0);
}
