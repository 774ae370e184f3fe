/**
 * Which pages of the KV cache are free and how many holders each of the others has. A page with more than one holder
 * is shared (a prefix common to several sequences) and must not be written.
 *
 * A page whose content somebody wants to find again is *kept*: when its last holder lets go it becomes idle instead of
 * free, and its content goes only when no free page is left, the page that became idle first before the others.
 */
export class KvPages {
  readonly #free: Int32Array; // a stack; the first #freeCount entries hold
  readonly #holders: Int32Array; // [pages]
  readonly #kept: Uint8Array; // [pages] 0 or 1
  /** Idle pages as a ring through index `pages`: least lately released first. */
  readonly #next: Int32Array; // [pages + 1]
  readonly #previous: Int32Array; // [pages + 1]
  #freeCount: number;
  #idleCount = 0;
  #onEvict: (page: number) => void = () => {};

  constructor(
    readonly pages: number,
    readonly pageTokens: number,
  ) {
    // Lowest page on top, so that a lightly used cache stays in few memory pages.
    this.#free = Int32Array.from({ length: pages }, (_, i) => pages - 1 - i);
    this.#freeCount = pages;
    this.#holders = new Int32Array(pages);
    this.#kept = new Uint8Array(pages);
    this.#next = new Int32Array(pages + 1).fill(pages);
    this.#previous = new Int32Array(pages + 1).fill(pages);
  }

  /** Pages that `grow` can hand out: free ones, and idle ones whose content would go. */
  get freePages(): number {
    return this.#freeCount + this.#idleCount;
  }

  /** Pages that nobody holds and whose content is kept. */
  get idlePages(): number {
    return this.#idleCount;
  }

  holders(page: number): number {
    return this.#holders[page] ?? 0;
  }

  /** Pages of `held` that nobody else holds. The holders of a sequence's pages never increase along it. */
  ownPages(held: readonly number[]): number {
    let shared = 0;
    let end = held.length;
    while (shared < end) {
      const middle = (shared + end) >> 1;
      if (this.holders(held[middle] as number) > 1) shared = middle + 1;
      else end = middle;
    }
    return held.length - shared;
  }

  /** Appends pages to `held` until it covers `tokens`. The caller has made sure that there are enough. */
  grow(held: number[], tokens: number): void {
    const missing = pagesFor(tokens, this.pageTokens) - held.length;
    if (missing > this.freePages) {
      throw new Error(`broken invariant: ${missing} KV pages wanted, ${this.freePages} free`);
    }
    for (let i = 0; i < missing; i++) {
      if (this.#freeCount === 0) this.#evict();
      const page = this.#free[--this.#freeCount] as number;
      this.#holders[page] = 1;
      held.push(page);
    }
  }

  /** One more holder for a page that somebody holds or that is idle. */
  share(page: number): void {
    const holders = this.holders(page);
    if (holders === 0) {
      if (this.#kept[page] !== 1) throw new Error(`broken invariant: KV page ${page} shared while free`);
      this.#unlinkIdle(page);
    }
    this.#holders[page] = holders + 1;
  }

  /** Gives all of `held` back and empties it. Of a sequence the last page first, so that its beginning stays longest. */
  release(held: number[]): void {
    for (let page = held.pop(); page !== undefined; page = held.pop()) this.releaseOne(page);
  }

  releaseOne(page: number): void {
    const left = this.holders(page) - 1;
    if (left < 0) throw new Error(`broken invariant: KV page ${page} released while free`);
    this.#holders[page] = left;
    if (left > 0) return;
    if (this.#kept[page] === 1) this.#linkIdle(page);
    else this.#free[this.#freeCount++] = page;
  }

  /** `listener` hears of each idle page whose content has to go; there is one. */
  onEvict(listener: (page: number) => void): void {
    this.#onEvict = listener;
  }

  /** The content of a held page shall outlive its holders. */
  keep(page: number): void {
    if (this.holders(page) < 1) throw new Error(`broken invariant: KV page ${page} kept while free`);
    this.#kept[page] = 1;
  }

  /** The reverse of `keep`; an idle page becomes free at once. */
  forget(page: number): void {
    if (this.#kept[page] !== 1) return;
    this.#kept[page] = 0;
    if (this.holders(page) > 0) return;
    this.#unlinkIdle(page);
    this.#free[this.#freeCount++] = page;
  }

  #evict(): void {
    const page = this.#next[this.pages] as number;
    this.#onEvict(page);
    this.forget(page);
  }

  #linkIdle(page: number): void {
    const last = this.#previous[this.pages] as number;
    this.#next[last] = page;
    this.#previous[page] = last;
    this.#next[page] = this.pages;
    this.#previous[this.pages] = page;
    this.#idleCount++;
  }

  #unlinkIdle(page: number): void {
    const before = this.#previous[page] as number;
    const after = this.#next[page] as number;
    this.#next[before] = after;
    this.#previous[after] = before;
    this.#idleCount--;
  }
}

export function pagesFor(tokens: number, pageTokens: number): number {
  return Math.ceil(tokens / pageTokens);
}
