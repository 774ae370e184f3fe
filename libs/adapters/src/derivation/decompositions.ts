/** Column after column, as factors of low-rank products are used. */
export interface Matrix {
  readonly rows: number;
  readonly columns: number;
  readonly data: Float64Array;
}

export function matrix(rows: number, columns: number): Matrix {
  return { rows, columns, data: new Float64Array(rows * columns) };
}

export function columnOf({ rows, data }: Matrix, column: number): Float64Array {
  return data.subarray(column * rows, (column + 1) * rows);
}

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i += 1) sum += (a[i] as number) * (b[i] as number);
  return sum;
}

/** to += factor * from */
function add(to: Float64Array, factor: number, from: Float64Array): void {
  for (let i = 0; i < to.length; i += 1) to[i] = (to[i] as number) + factor * (from[i] as number);
}

/** An orthogonal Q as the reflections that make it, and the upper trapezoid R: of m x n, Q is m x k and R k x n, k = min(m, n). */
export interface OrthogonalTriangle {
  readonly rows: number;
  /** Unit vectors, the first `at` elements of the `at`-th being 0; absent: no reflection there. */
  readonly reflections: readonly (Float64Array | undefined)[];
  readonly r: Matrix;
}

/** Householder's QR; changes nothing of `given`. Columns that depend on others do no harm. */
export function qr(given: Matrix): OrthogonalTriangle {
  const { rows, columns } = given;
  const work = { rows, columns, data: given.data.slice() };
  const size = Math.min(rows, columns);
  const reflections: (Float64Array | undefined)[] = [];
  for (let at = 0; at < size; at += 1) {
    const vector = columnOf(work, at).slice();
    vector.fill(0, 0, at);
    const norm = Math.sqrt(dot(vector, vector));
    const first = vector[at] as number;
    vector[at] = first + (first < 0 ? -norm : norm);
    const length = Math.sqrt(dot(vector, vector));
    if (length === 0 || norm === 0) {
      reflections.push(undefined);
      continue;
    }
    for (let i = at; i < rows; i += 1) vector[i] = (vector[i] as number) / length;
    reflections.push(vector);
    for (let column = at; column < columns; column += 1) reflect(columnOf(work, column), vector);
  }
  const r = matrix(size, columns);
  for (let column = 0; column < columns; column += 1) {
    columnOf(r, column).set(columnOf(work, column).subarray(0, Math.min(size, column + 1)));
  }
  return { rows, reflections, r };
}

function reflect(vector: Float64Array, unit: Float64Array): void {
  add(vector, -2 * dot(vector, unit), unit);
}

/** Q times `right`, k x p. */
export function timesQ({ rows, reflections }: OrthogonalTriangle, right: Matrix): Matrix {
  const result = matrix(rows, right.columns);
  for (let column = 0; column < right.columns; column += 1) {
    const vector = columnOf(result, column);
    vector.set(columnOf(right, column));
    for (const unit of reflections.toReversed()) if (unit) reflect(vector, unit);
  }
  return result;
}

/** a times the transpose of b. */
export function timesTransposed(a: Matrix, b: Matrix): Matrix {
  const result = matrix(a.rows, b.rows);
  for (let column = 0; column < b.rows; column += 1) {
    const sum = columnOf(result, column);
    for (let inner = 0; inner < a.columns; inner += 1) {
      add(sum, b.data[inner * b.rows + column] as number, columnOf(a, inner));
    }
  }
  return result;
}

export interface SingularValues {
  /** Largest first. */
  readonly values: Float64Array;
  /** Columns of unit length, of 0 where the value is 0. */
  readonly left: Matrix;
  readonly right: Matrix;
}

/** Off-diagonal products below this share of the columns' lengths count as 0. */
const ORTHOGONAL = 1e-15;
const MAX_SWEEPS = 60;

/** One-sided Jacobi (Hestenes): slow for large matrices, and as exact as the numbers are. */
export function svd(given: Matrix): SingularValues {
  if (given.rows < given.columns) {
    const { values, left, right } = svd(transposed(given));
    return { values, left: right, right: left };
  }
  const { rows, columns } = given;
  const work = { rows, columns, data: given.data.slice() };
  const turns = matrix(columns, columns);
  for (let i = 0; i < columns; i += 1) turns.data[i * columns + i] = 1;
  let turned = true;
  for (let sweep = 0; turned && sweep < MAX_SWEEPS; sweep += 1) {
    turned = false;
    for (let p = 0; p < columns - 1; p += 1) {
      for (let q = p + 1; q < columns; q += 1) turned = orthogonalize(work, turns, [p, q]) || turned;
    }
  }
  return sorted(work, turns);
}

/** Turns two columns until they are orthogonal; false when they were. */
function orthogonalize(work: Matrix, turns: Matrix, [p, q]: readonly [number, number]): boolean {
  const [a, b] = [columnOf(work, p), columnOf(work, q)];
  const [alpha, beta, gamma] = [dot(a, a), dot(b, b), dot(a, b)];
  if (gamma === 0 || Math.abs(gamma) <= ORTHOGONAL * Math.sqrt(alpha * beta)) return false;
  const zeta = (beta - alpha) / (2 * gamma);
  const tangent = (zeta < 0 ? -1 : 1) / (Math.abs(zeta) + Math.sqrt(1 + zeta * zeta));
  const cosine = 1 / Math.sqrt(1 + tangent * tangent);
  const sine = cosine * tangent;
  rotate(a, b, { cosine, sine });
  rotate(columnOf(turns, p), columnOf(turns, q), { cosine, sine });
  return true;
}

function rotate(
  a: Float64Array,
  b: Float64Array,
  { cosine, sine }: { readonly cosine: number; readonly sine: number },
): void {
  for (let i = 0; i < a.length; i += 1) {
    const [x, y] = [a[i] as number, b[i] as number];
    a[i] = cosine * x - sine * y;
    b[i] = sine * x + cosine * y;
  }
}

function sorted(work: Matrix, turns: Matrix): SingularValues {
  const { rows, columns } = work;
  const lengths = Array.from({ length: columns }, (_, column) => {
    const vector = columnOf(work, column);
    return Math.sqrt(dot(vector, vector));
  });
  const order = lengths.map((_, column) => column).sort((p, q) => (lengths[q] ?? 0) - (lengths[p] ?? 0));
  const [left, right] = [matrix(rows, columns), matrix(columns, columns)];
  for (const [to, from] of order.entries()) {
    const length = lengths[from] ?? 0;
    if (length > 0) add(columnOf(left, to), 1 / length, columnOf(work, from));
    columnOf(right, to).set(columnOf(turns, from));
  }
  return { values: Float64Array.from(order, (column) => lengths[column] ?? 0), left, right };
}

function transposed({ rows, columns, data }: Matrix): Matrix {
  const result = matrix(columns, rows);
  for (let column = 0; column < columns; column += 1) {
    for (let row = 0; row < rows; row += 1) {
      result.data[row * columns + column] = data[column * rows + row] as number;
    }
  }
  return result;
}
