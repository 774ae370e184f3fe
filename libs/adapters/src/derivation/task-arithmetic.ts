import { DRAWING, ELECTING, PRUNING } from '#contracts/derivations-api.js';
import type { ComposeMethod } from '#contracts/derivations-api.js';

/*
 * The sums of PEFT's add_weighted_adapter over factors of the same shape, rounded to float32 after each operation as
 * PyTorch does, so that results are the same bits.
 */

export interface Sum {
  readonly method: Exclude<ComposeMethod, 'cat' | 'svd'>;
  /** Of methods that drop elements. */
  readonly density: number;
  readonly majoritySign: 'total' | 'frequency';
  /** Whether a method that drops by chance keeps an element of the input. */
  readonly keeps: (input: number, element: number) => boolean;
}

/** `weights` has one number for each of `factors`. */
export function sumFactors(
  factors: readonly Float32Array[],
  weights: readonly number[],
  sum: Sum,
): Float32Array {
  const pruned = factors.map((factor, input) => prune(factor, input, sum));
  const rounded = weights.map(Math.fround);
  return ELECTING.includes(sum.method)
    ? disjoint(pruned, rounded, sum.majoritySign)
    : weighted(pruned, rounded);
}

function prune(factor: Float32Array, input: number, { method, density, keeps }: Sum): Float32Array {
  if (density >= 1 || !PRUNING.includes(method)) return factor;
  if (!DRAWING.includes(method)) return largest(factor, Math.trunc(density * factor.length));
  const rounded = Math.fround(density);
  return factor.map((value, element) => (keeps(input, element) ? value / rounded : 0));
}

/** The `count` elements of largest magnitude; of equal ones those that come first. */
function largest(factor: Float32Array, count: number): Float32Array {
  const order = Uint32Array.from(factor, (_, element) => element);
  const magnitudes = factor.map(Math.abs);
  order.sort((a, b) => (magnitudes[b] ?? 0) - (magnitudes[a] ?? 0) || a - b);
  const kept = new Float32Array(factor.length);
  for (const element of order.subarray(0, count)) kept[element] = factor[element] ?? 0;
  return kept;
}

function weighted(factors: readonly Float32Array[], weights: readonly number[]): Float32Array {
  const total = new Float32Array(factors[0]?.length ?? 0);
  for (const [input, factor] of factors.entries()) {
    const weight = weights[input] ?? 0;
    for (let i = 0; i < total.length; i += 1) {
      total[i] = (total[i] ?? 0) + Math.fround((factor[i] ?? 0) * weight);
    }
  }
  return total;
}

/** The mean, with weights, of those elements whose sign is that of the majority. */
function disjoint(
  factors: readonly Float32Array[],
  weights: readonly number[],
  method: 'total' | 'frequency',
): Float32Array {
  const result = new Float32Array(factors[0]?.length ?? 0);
  for (let i = 0; i < result.length; i += 1) {
    let votes = 0;
    for (const factor of factors) {
      const value = factor[i] ?? 0;
      votes = Math.fround(votes + (method === 'total' ? value : Math.sign(value)));
    }
    const majority = votes >= 0 ? 1 : -1;
    let total = 0;
    let count = 0;
    for (const [input, factor] of factors.entries()) {
      const value = factor[i] ?? 0;
      if (Math.sign(value) !== majority) continue;
      total = Math.fround(total + Math.fround(value * (weights[input] ?? 0)));
      count += 1;
    }
    result[i] = total / Math.max(count, 1);
  }
  return result;
}
