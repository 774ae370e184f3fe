import type { NativeModel } from '#native-engine/native.js';
import { type KvPages, pagesFor } from './kv-pages.js';
import type { PageCopy, PrefixCache, PrefixMatch } from './prefix-cache.js';
import type { Reuse } from '../loop/scheduler.js';
import type { Sequence } from '../loop/sequence.js';
import type { ServingMetrics } from '../loop/serving-metrics.js';

export interface PrefixEntryOptions {
  readonly pages: KvPages;
  readonly prefixes: PrefixCache;
  readonly native: Pick<NativeModel, 'copyPages'>;
  readonly metrics: ServingMetrics;
}

/** What the prefix cache has for the requests that one scheduling decision considers, and for those that it lets in. */
export class PrefixEntry {
  readonly #matches = new Map<Sequence, PrefixMatch>();
  readonly #copies: { readonly sequence: Sequence; readonly copy: PageCopy }[] = [];

  constructor(private readonly options: PrefixEntryOptions) {}

  find(sequence: Sequence): Reuse {
    const { prefixes, pages } = this.options;
    const limitTokens = sequence.reusableTokens;
    const found = prefixes.find(sequence, limitTokens);
    // A sequence that needs the whole cache has no room for a page to copy from.
    const roomy = pagesFor(sequence.totalTokens + 1, pages.pageTokens) < pages.pages;
    const fullTokens = found.nodes.length * pages.pageTokens;
    const match = roomy ? found : { ...found, tokens: fullTokens, tail: undefined };
    this.#matches.set(sequence, match);
    return {
      tokens: match.tokens,
      heldPages: match.heldPages,
      pinnedPages: match.tail?.idle ? 1 : 0,
      nextPage: prefixes.nextKey(sequence, match, limitTokens),
    };
  }

  /** Gives an admitted request what was found; before any page is taken for others, so that nothing found is evicted. */
  attach(sequence: Sequence): void {
    const { prefixes, metrics } = this.options;
    const match = this.#matches.get(sequence);
    const copy = match && prefixes.attach(sequence, match);
    if (copy !== undefined) this.#copies.push({ sequence, copy });
    if (sequence.firstGrant_ms === undefined) {
      sequence.cachedTokens = sequence.computedTokens;
      metrics.prefixQueriedTokens.inc(sequence.promptTokens);
      metrics.prefixHitTokens.inc(sequence.cachedTokens);
    }
    sequence.chargedTokens = Math.max(sequence.chargedTokens, sequence.computedTokens);
  }

  /** Copies the pages that are shared only in part, once every admitted request has the page to copy to. */
  copyPages(): void {
    if (this.#copies.length === 0) return;
    const from = this.#copies.map(({ copy }) => copy.from);
    const to = this.#copies.map(({ sequence, copy }) => sequence.pages[copy.toIndex] as number);
    this.options.native.copyPages(Int32Array.from(from), Int32Array.from(to));
    for (const { copy } of this.#copies) copy.done();
  }
}
