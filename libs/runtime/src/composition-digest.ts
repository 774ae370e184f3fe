import { hash } from 'node:crypto';

/** One of several adapters that answer together, by its version's digest. */
export interface ComposedDigest {
  readonly digest: string;
  readonly weight: number;
}

/** What stands for the sum of these adapters where a version's digest stands for one; their order does not matter. */
export function compositionDigest(parts: readonly ComposedDigest[]): string {
  const sorted = inSumOrder(parts).map(({ digest, weight }) => [digest, weight]);
  return hash('sha256', JSON.stringify(['lorikeet.composition.v1', sorted]));
}

/** The order in which they are added up, so that a sum has the same bits whoever asks for it. */
export function inSumOrder<T extends ComposedDigest>(parts: readonly T[]): T[] {
  return parts.toSorted((a, b) => (a.digest < b.digest ? -1 : 1));
}
