/** Candidates that are counted for each name that is shown. */
const CANDIDATES_PER_NAME = 4;
/** By how much a newcomer must have more than the last of the top: names must not come and go. */
const LEAD = 1.5;
const NAME_CHARACTERS = 12;

/**
 * Names the adapters with the most traffic, at most `names` at a time; all others are `other`. Counts by the Space-Saving
 * algorithm (Metwally et al. 2005), so its memory has a bound whatever the number of adapters.
 */
export class TopAdapters {
  readonly #counts = new Map<string, number>();
  readonly #top = new Set<string>();

  constructor(
    private readonly names: number,
    /** A name is shown no more. */
    private readonly onGone: (name: string) => void,
  ) {}

  /** Counts `weight` for the adapter and says under which name to show it. */
  nameOf(digest: string | undefined, weight: number): string {
    if (digest === undefined) return 'base';
    const count = this.#count(digest, weight);
    if (!this.#top.has(digest) && !this.#enters(digest, count)) return 'other';
    return shortName(digest);
  }

  forget(digest: string): void {
    this.#counts.delete(digest);
    if (this.#top.delete(digest)) this.onGone(shortName(digest));
  }

  #count(digest: string, weight: number): number {
    let count = this.#counts.get(digest);
    if (count === undefined && this.#counts.size >= this.names * CANDIDATES_PER_NAME) {
      const [least, leastCount] = minimum(this.#counts);
      count = leastCount;
      this.forget(least);
    }
    count = (count ?? 0) + weight;
    this.#counts.set(digest, count);
    return count;
  }

  #enters(digest: string, count: number): boolean {
    if (this.#top.size >= this.names) {
      const shown = [...this.#top].map((one) => [one, this.#counts.get(one) ?? 0] as const);
      const [least, leastCount] = minimum(shown);
      if (count <= leastCount * LEAD) return false;
      this.#top.delete(least);
      this.onGone(shortName(least));
    }
    this.#top.add(digest);
    return true;
  }
}

const shortName = (digest: string): string => digest.slice(0, NAME_CHARACTERS);

function minimum(counts: Iterable<readonly [string, number]>): readonly [string, number] {
  let least: readonly [string, number] | undefined;
  for (const entry of counts) if (least === undefined || entry[1] < least[1]) least = entry;
  if (least === undefined) throw new Error('broken invariant: the least of nothing');
  return least;
}
