/**
 * Which pages of the KV cache are free and how many holders each of the others has. A page with more than one holder
 * is shared (a prefix common to several sequences) and must not be written.
 */
export class KvPages {
  readonly #free: Int32Array; // a stack; the first #freeCount entries hold
  readonly #holders: Int32Array; // [pages]
  #freeCount: number;

  constructor(
    readonly pages: number,
    readonly pageTokens: number,
  ) {
    // Lowest page on top, so that a lightly used cache stays in few memory pages.
    this.#free = Int32Array.from({ length: pages }, (_, i) => pages - 1 - i);
    this.#freeCount = pages;
    this.#holders = new Int32Array(pages);
  }

  get freePages(): number {
    return this.#freeCount;
  }

  holders(page: number): number {
    return this.#holders[page] ?? 0;
  }

  /** Appends pages to `held` until it covers `tokens`. The caller has made sure that there are enough. */
  grow(held: number[], tokens: number): void {
    const missing = pagesFor(tokens, this.pageTokens) - held.length;
    if (missing > this.#freeCount) {
      throw new Error(`broken invariant: ${missing} KV pages wanted, ${this.#freeCount} free`);
    }
    for (let i = 0; i < missing; i++) {
      const page = this.#free[--this.#freeCount] as number;
      this.#holders[page] = 1;
      held.push(page);
    }
  }

  /** One more holder for a page that somebody holds. */
  share(page: number): void {
    if (this.holders(page) < 1) throw new Error(`broken invariant: KV page ${page} shared while free`);
    this.#holders[page] = this.holders(page) + 1;
  }

  /** Gives all of `held` back and empties it. */
  release(held: number[]): void {
    for (const page of held) {
      const left = this.holders(page) - 1;
      if (left < 0) throw new Error(`broken invariant: KV page ${page} released while free`);
      this.#holders[page] = left;
      if (left === 0) this.#free[this.#freeCount++] = page;
    }
    held.length = 0;
  }
}

export function pagesFor(tokens: number, pageTokens: number): number {
  return Math.ceil(tokens / pageTokens);
}
