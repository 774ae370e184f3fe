/** A diagonal that is this much smaller than it was tells nothing that the others do not tell. */
const DEPENDENT = 1e-9;

/**
 * The least squares solution of the normal equations `matrix · x = right` in which no member is negative: what would be is
 * taken out, the most negative first. Undefined where nothing is left.
 */
export function nonNegativeFit(
  matrix: readonly (readonly number[])[],
  right: readonly number[],
): number[] | undefined {
  let used = right.map((_, index) => index);
  while (used.length > 0) {
    const found = solve(
      used.map((row) => used.map((column) => matrix[row]?.[column] ?? 0)),
      used.map((row) => right[row] ?? 0),
    );
    const least = found.reduce((at, value, index) => (value < (found[at] ?? 0) ? index : at), 0);
    if ((found[least] ?? 0) >= 0) {
      const all = right.map(() => 0);
      for (const [index, name] of used.entries()) all[name] = found[index] ?? 0;
      return all;
    }
    used = used.filter((_, index) => index !== least);
  }
  return undefined;
}

/** Gauss-Jordan on a symmetric positive semi-definite matrix; a member that depends on earlier ones is 0. */
function solve(matrix: readonly (readonly number[])[], right: readonly number[]): number[] {
  const rows = matrix.map((row, index) => [...row, right[index] ?? 0]);
  const size = right.length;
  const scale = matrix.map((row, index) => row[index] ?? 0);
  const dependent = new Set<number>();
  for (let pivot = 0; pivot < size; pivot++) {
    const own = rows[pivot];
    const divisor = own?.[pivot] ?? 0;
    if (!own || divisor <= DEPENDENT * (scale[pivot] ?? 0)) {
      dependent.add(pivot);
      continue;
    }
    for (const [at, row] of rows.entries()) {
      if (at === pivot) continue;
      const factor = (row[pivot] ?? 0) / divisor;
      for (let column = pivot; column <= size; column++)
        row[column] = (row[column] ?? 0) - factor * (own[column] ?? 0);
    }
  }
  return rows.map((row, index) => (dependent.has(index) ? 0 : (row[size] ?? 0) / (row[index] ?? 1)));
}
