import { type KvPages, pagesFor } from './kv-pages.js';
import type { PageCopy, PrefixCache, PrefixMatch } from './prefix-cache.js';
import type { Reuse } from '../loop/scheduler.js';
import type { Sequence } from '../loop/sequence.js';
import type { ServingMetrics } from '../loop/serving-metrics.js';

export interface PrefixEntryOptions {
  readonly pages: KvPages;
  readonly prefixes: PrefixCache;
  readonly metrics: ServingMetrics;
}

/** A page that the next step copies before it computes, and what is to be done once that step is over. */
export interface PendingCopy {
  readonly from: number;
  readonly to: number;
  readonly done: () => void;
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

  /** The pages that are shared only in part, once every admitted request has the page to copy to. */
  copies(): PendingCopy[] {
    return this.#copies.map(({ sequence, copy }) => ({
      from: copy.from,
      to: sequence.pages[copy.toIndex] as number,
      done: copy.done,
    }));
  }
}
