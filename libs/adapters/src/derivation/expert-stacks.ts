import type { ManifestModule } from '#contracts/adapter-manifest.js';
import type { LowRank } from './low-rank.js';

/*
 * PEFT's form of all experts of a layer at once: row e * rank + k of A and column k * count + e of B are of expert e. Versions
 * are computed expert by expert, and written as single experts, whose factors every other tool reads too.
 */

/** Which expert of a stack a delta is of. */
export interface ExpertPlace {
  readonly index: number;
  readonly count: number;
  /** The stack is of the transposed weights: A [experts * rank, out], B [in, rank * experts]. */
  readonly turned: boolean;
}

const STACK = /^(.+\.experts)\.(\w+)$/;

/** The single experts that a module is a stack of, by name; undefined: it is none. */
export function expertsOf({ module, lora }: ManifestModule): ReadonlyMap<string, ExpertPlace> | undefined {
  const [, container, leaf] = STACK.exec(module) ?? [];
  if (container === undefined || leaf === undefined || !lora) return undefined;
  const { rank, a, b, turned = false } = lora;
  const [rows = 0] = a.shape;
  const count = rows / rank;
  if (!Number.isInteger(count) || a.shape.length !== 2 || b.shape.length !== 2 || b.shape[1] !== rows)
    return undefined;
  return new Map(
    Array.from({ length: count }, (_, index) => [`${container}.${index}.${leaf}`, { index, count, turned }]),
  );
}

/** One expert's factors out of the stack's. */
export function expertFactors(
  { rank, scale, a, b }: LowRank,
  { index, count, turned }: ExpertPlace,
): LowRank {
  const width = a.length / (rank * count);
  const height = b.length / (rank * count);
  const ownA = a.slice(index * rank * width, (index + 1) * rank * width);
  const ownB = Float32Array.from(
    { length: height * rank },
    (_, at) => b[Math.floor(at / rank) * rank * count + (at % rank) * count + index] as number,
  );
  if (!turned) return { rank, scale, a: ownA, b: ownB };
  // (B A)^T = A^T B^T
  return { rank, scale, a: transposed(ownB, height), b: transposed(ownA, rank) };
}

/** [rows, columns] to [columns, rows]. */
function transposed(values: Float32Array, rows: number): Float32Array {
  const columns = values.length / rows;
  return Float32Array.from(
    values,
    (_, at) => values[(at % rows) * columns + Math.floor(at / rows)] as number,
  );
}
