import { describe, expect, it } from 'vitest';
import { columnOf, type Matrix, matrix, qr, svd, timesQ, timesTransposed } from './decompositions.js';

function filled(rows: number, columns: number, value: (row: number, column: number) => number): Matrix {
  const made = matrix(rows, columns);
  for (let column = 0; column < columns; column += 1) {
    for (let row = 0; row < rows; row += 1) columnOf(made, column)[row] = value(row, column);
  }
  return made;
}
const wave = (rows: number, columns: number) =>
  filled(rows, columns, (row, column) => Math.sin(row * 7.3 + column ** 2 * 1.9 + 1));
const identity = (size: number) => filled(size, size, (row, column) => Number(row === column));
const transposed = ({ rows, columns, data }: Matrix) =>
  filled(columns, rows, (row, column) => data[row * rows + column] ?? 0);

function difference(a: Matrix, b: Matrix): number {
  expect([a.rows, a.columns]).toEqual([b.rows, b.columns]);
  return a.data.reduce((most, value, at) => Math.max(most, Math.abs(value - (b.data[at] ?? 0))), 0);
}

/** Columns that depend on each other, columns of zeros, and shapes of either kind. */
const CASES: readonly (readonly [string, Matrix])[] = [
  ['tall', wave(40, 7)],
  ['wide', wave(5, 9)],
  ['square', wave(6, 6)],
  ['a column', wave(8, 1)],
  ['of low rank', filled(12, 5, (row, column) => (row + 1) * (column + 1))],
  ['zero', matrix(4, 3)],
  ['with a zero column', filled(9, 3, (row, column) => (column === 1 ? 0 : row - 3.5 * column))],
  ['tiny and huge', filled(9, 3, (row, column) => Math.cos(row * column + row) * 10 ** (column * 12 - 12))],
];

describe('decompositions', () => {
  it.each(CASES)('qr gives back a matrix that is %s, by columns of unit length', (_, given) => {
    const { r, ...found } = qr(given);
    const q = timesQ({ ...found, r }, identity(r.rows));
    const largest = given.data.reduce((most, value) => Math.max(most, Math.abs(value)), 1);
    expect(difference(timesTransposed(q, transposed(r)), given) / largest).toBeLessThan(1e-14);
    expect(difference(timesTransposed(transposed(q), transposed(q)), identity(r.rows))).toBeLessThan(1e-14);
  });

  it.each(CASES)('svd gives back a matrix that is %s, largest value first', (_, given) => {
    const { values, left, right } = svd(given);
    const scaled = filled(
      left.rows,
      values.length,
      (row, column) => (left.data[column * left.rows + row] ?? 0) * (values[column] ?? 0),
    );
    const largest = given.data.reduce((most, value) => Math.max(most, Math.abs(value)), 1);
    expect(difference(timesTransposed(scaled, right), given) / largest).toBeLessThan(1e-14);
    expect([...values]).toEqual([...values].sort((a, b) => b - a));
  });

  it('finds the values that numpy finds', () => {
    // numpy.linalg.svd of [[i + 1) ** (j / 2)]] for 4 rows and 3 columns, in float64
    const { values } = svd(filled(4, 3, (row, column) => (row + 1) ** (column / 2)));
    for (const [at, wanted] of NUMPY.entries()) expect(values[at]).toBeCloseTo(wanted, 13);
  });
});

const NUMPY = [6.576567844436112, 0.8633483366509841, 0.05818107193010431];
