import { createHash } from 'node:crypto';

/** One stream of numbers: which factor of which input's module is drawn for. */
export interface DrawnFactor {
  readonly seed: number;
  readonly module: string;
  readonly part: 'A' | 'B';
  readonly input: number;
}

/**
 * Whether each element is kept, with the probability `density`. Counted and not stepped, so that an element's lot depends
 * on nothing but the seed and its own place.
 */
export function keptByLot(
  { seed, module, part, input }: DrawnFactor,
  density: number,
): (element: number) => boolean {
  const text = `${seed}/${module}/${part}/${input}`;
  const stream = createHash('sha256').update(text).digest().readUInt32LE(0);
  return (element) => scramble(scramble(element + stream) ^ stream) < density * 2 ** 32;
}

/** The finalizer of MurmurHash3: a bijection of 32-bit words whose every bit depends on all. */
function scramble(word: number): number {
  let bits = word | 0;
  bits = Math.imul(bits ^ (bits >>> 16), 0x85ebca6b);
  bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2ae35);
  return (bits ^ (bits >>> 16)) >>> 0;
}
