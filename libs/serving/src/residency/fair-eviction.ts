/** Whose requests use an adapter, and what part of the memory for adapters is theirs while others want some, too. */
export interface AdapterOwner {
  readonly key: string;
  readonly weight: number;
}

/** Of what is loaded for nobody in particular. */
export const NO_OWNER: AdapterOwner = { key: '', weight: 1 };

export interface Held {
  /** Who used it last. */
  readonly owner: AdapterOwner;
  readonly bytes: number;
}

/**
 * Of those who hold more than their weights' parts of the memory, the keys of who holds most for its weight. Their adapters
 * go first: however many adapters one tenant calls, it cannot drive out those of a tenant within its part.
 */
export function overShare(held: Iterable<Held>, limitBytes: number): ReadonlySet<string> {
  const sums = new Map<string, { weight: number; bytes: number }>();
  for (const { owner, bytes } of held) {
    const sum = sums.get(owner.key) ?? { weight: owner.weight, bytes: 0 };
    sum.bytes += bytes;
    sums.set(owner.key, sum);
  }
  const weights = [...sums.values()].reduce((sum, { weight }) => sum + weight, 0);
  const most = Math.max(...[...sums.values()].map(({ weight, bytes }) => bytes / weight));
  if (most * weights <= limitBytes) return new Set();
  return new Set([...sums].flatMap(([key, { weight, bytes }]) => (bytes / weight === most ? [key] : [])));
}
