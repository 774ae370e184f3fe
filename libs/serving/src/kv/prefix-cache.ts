import type { KvPages } from './kv-pages.js';
import type { PrefixKeys } from './prefix-keys.js';

/**
 * Finds the KV pages of a prefix that was computed before. Pages of one scope (tenant salt and adapter digest) form a
 * tree: a path from its root is a sequence of tokens. Full pages are shared by their holders and never written again. A
 * page that is full only in part (the end of a sequence) or fits only in part is copied, and the copy goes on being
 * written: that is the one case of copy-on-write, because a shared page is never anybody's last.
 *
 * Invariant: who holds a page holds its parent, and lets go of it later. So holders never increase along a path, idle
 * pages go leaf first, and the pages of a sequence that are known are always its first ones.
 *
 * Pages that an activated LoRA computes are a tree of their own, whose root stands for the base's pages before them too.
 * Who holds one holds those as well, so that they stay at least as long.
 *
 * Keys and values of a token depend on the tokens before it alone (ADR 2), so what is found is bit for bit what would be
 * computed. That asks of the KV format that a token's slot does not depend on the others of its page.
 */
export class PrefixCache {
  /** Full pages by key. */
  readonly #byKey = new Map<string, PageNode>();
  readonly #byPage = new Map<number, PageNode>();
  readonly #roots = new Map<string, RootNode>();
  /** Who is about to compute a full page, by its key. */
  readonly #computing = new Map<string, PrefixHolder>();

  constructor(
    private readonly pages: KvPages,
    onEvict: () => void = () => {},
  ) {
    pages.onEvict((page) => {
      this.#remove(this.#byPage.get(page));
      onEvict();
    });
  }

  /** Pages whose content can be found, held or idle. */
  get cachedPages(): number {
    return this.#byPage.size;
  }

  /** The key of the first full page of `limitTokens` that `match` lacks. */
  nextKey(of: PrefixHolder, match: PrefixMatch, limitTokens: number): string | undefined {
    const pages = match.nodes.length + 1;
    return pages * this.pages.pageTokens > limitTokens ? undefined : of.keys.of(of.tokens, pages)[pages - 1];
  }

  /** The longest known beginning of `of`'s tokens, at most `limitTokens` of them. Changes nothing. */
  find(of: PrefixHolder, limitTokens: number): PrefixMatch {
    const { pageTokens } = this.pages;
    const most = Math.max(0, Math.floor(limitTokens / pageTokens));
    const keys = of.keys.of(of.tokens, most);
    const isKnown = (page: number): boolean => this.#byKey.has(keys[page] as string);
    const { branchPage } = of.keys;
    let count = boundary(Math.min(most, branchPage), isKnown);
    if (count === branchPage) count += boundary(most - branchPage, (i) => isKnown(branchPage + i));
    const nodes = keys.slice(0, count).map((key) => this.#byKey.get(key) as PageNode);
    const heldPages = boundary(count, (i) => this.pages.holders((nodes[i] as PageNode).page) > 0);
    const tail = this.#findTail(of, nodes, limitTokens);
    return {
      tokens: count * pageTokens + (tail?.tokens ?? 0),
      nodes,
      heldPages,
      tail: tail && { node: tail.node, idle: this.pages.holders(tail.node.page) === 0 },
    };
  }

  /** The page with the most of the tokens behind `nodes`. */
  #findTail(of: PrefixHolder, nodes: readonly PageNode[], limitTokens: number) {
    const begin = nodes.length * this.pages.pageTokens;
    const { keys, tokens } = of;
    const parent = nodes.at(-1) ?? this.#roots.get(keys.scope);
    if (nodes.length !== keys.branchPage) return longestTail(parent, tokens.subarray(begin, limitTokens));
    // In the page where a LoRA begins: what it computed of such a page, or what the base did of the tokens before it.
    const own = longestTail(this.#roots.get(keys.branchScope(tokens)), tokens.subarray(begin, limitTokens));
    const before = Math.min(limitTokens, keys.branch?.from ?? begin);
    const shared = longestTail(parent, tokens.subarray(begin, before));
    return own !== undefined && own.tokens >= (shared?.tokens ?? 0) ? own : shared;
  }

  /** Whether a sequence that goes on computes the page of this key soon. */
  isComputed(key: string): boolean {
    return this.#computing.get(key)?.paused === false;
  }

  /** Gives the match to a sequence that holds nothing. What comes back is to be copied into its next page. */
  attach(to: PrefixHolder, { tokens, nodes, tail }: PrefixMatch): PageCopy | undefined {
    if (to.pages.length > 0) throw new Error('broken invariant: a prefix for a sequence that has pages');
    for (const node of nodes) {
      this.pages.share(node.page);
      to.pages.push(node.page);
    }
    to.lastKnown = nodes.at(-1);
    to.computedTokens = tokens;
    const all = Math.floor(to.tokens.length / this.pages.pageTokens);
    for (const key of to.keys.of(to.tokens, all).slice(nodes.length, all)) {
      if (!this.#computing.has(key)) this.#computing.set(key, to);
    }
    if (tail === undefined) return undefined;
    this.pages.share(tail.node.page);
    return { from: tail.node.page, toIndex: nodes.length, done: () => this.pages.releaseOne(tail.node.page) };
  }

  /** Makes the pages that a sequence has filled known. A page that is known already takes the place of its own. */
  publish(from: PrefixHolder): void {
    const { pageTokens } = this.pages;
    const full = Math.floor(from.computedTokens / pageTokens);
    for (let at = (from.lastKnown?.depth ?? -1) + 1; at < full; at++) {
      const parent = this.#parentOfNext(from);
      if (parent.forgotten) return;
      const key = from.keys.of(from.tokens, at + 1)[at] as string;
      const known = this.#byKey.get(key);
      const page = from.pages[at] as number;
      if (this.#computing.get(key) === from) this.#computing.delete(key);
      if (known === undefined) {
        const tokens = from.tokens.slice(at * pageTokens, (at + 1) * pageTokens);
        from.lastKnown = this.#add({ key, page, tokens, parent });
      } else {
        this.pages.share(known.page);
        from.pages[at] = known.page;
        this.pages.releaseOne(page);
        from.lastKnown = known;
      }
    }
  }

  /** Takes all pages of a sequence back; what it computed stays known. */
  release(from: PrefixHolder): void {
    this.publish(from);
    this.#publishTail(from);
    for (const key of from.keys.known) {
      if (this.#computing.get(key) === from) this.#computing.delete(key);
    }
    this.pages.release(from.pages);
    from.lastKnown = undefined;
    from.computedTokens = 0;
  }

  /** Nothing of this adapter, alone or in a composition, is found any more. Pages that are held become free when their holders end. */
  forget(adapter: string): void {
    for (const root of this.#roots.values()) {
      if (!isOf(root, adapter)) continue;
      for (const node of below(root).reverse()) this.#forgetPage(node);
    }
    // Who still computes for it may not be able to add to what is gone: nobody shall wait for that.
    for (const [key, holder] of this.#computing) {
      if (isOf(holder, adapter)) this.#computing.delete(key);
    }
  }

  #publishTail(from: PrefixHolder): void {
    const { pageTokens } = this.pages;
    const at = Math.floor(from.computedTokens / pageTokens);
    const tokens = from.tokens.slice(at * pageTokens, from.computedTokens);
    if (tokens.length === 0) return;
    const parent = this.#parentOfNext(from);
    const known = parent.children.slice(-SCANNED_CHILDREN);
    const found = known.some((child) => commonLength(child.tokens, tokens) === tokens.length);
    if (!parent.forgotten && !found) this.#add({ page: from.pages[at] as number, tokens, parent });
    if (parent.children.length === 0) this.#dropRoot(parent);
  }

  #add(made: Pick<PageNode, 'page' | 'tokens' | 'parent'> & { readonly key?: string }): PageNode {
    const { parent, tokens } = made;
    for (const child of parent.children.slice(-SCANNED_CHILDREN)) {
      // The end of a sequence that went on is of no more use.
      const superseded =
        child.key === undefined && commonLength(child.tokens, tokens) === child.tokens.length;
      if (superseded) this.#forgetPage(child);
    }
    const node: PageNode = {
      key: made.key,
      page: made.page,
      tokens,
      parent,
      depth: parent.depth + 1,
      children: [],
      forgotten: false,
    };
    parent.children.push(node);
    if ('scope' in parent) this.#roots.set(parent.scope, parent); // it may have become empty just now
    if (node.key !== undefined) this.#byKey.set(node.key, node);
    this.#byPage.set(node.page, node);
    this.pages.keep(node.page);
    return node;
  }

  /** What the first page of the sequence that is not known stands below. */
  #parentOfNext({ keys, tokens, lastKnown, adapter, adapterParts }: PrefixHolder): TreeNode {
    const page = (lastKnown?.depth ?? -1) + 1;
    const begins = page === keys.branchPage;
    if (lastKnown !== undefined && !begins) return lastKnown;
    const isBase = keys.branch !== undefined && !begins;
    return this.#root({
      scope: begins ? keys.branchScope(tokens) : keys.scope,
      adapter: isBase ? undefined : adapter,
      adapterParts,
      depth: page - 1,
    });
  }

  #root(made: Pick<RootNode, 'scope' | 'adapter' | 'adapterParts' | 'depth'>): RootNode {
    let root = this.#roots.get(made.scope);
    if (root === undefined) {
      root = { ...made, children: [], forgotten: false };
      this.#roots.set(made.scope, root);
    }
    return root;
  }

  #forgetPage(node: PageNode): void {
    this.#remove(node);
    this.pages.forget(node.page);
  }

  #remove(node: PageNode | undefined): void {
    if (node === undefined || node.children.length > 0) {
      throw new Error('broken invariant: a page of a prefix goes before those that follow it');
    }
    node.forgotten = true;
    if (node.key !== undefined) this.#byKey.delete(node.key);
    this.#byPage.delete(node.page);
    const { children } = node.parent;
    children.splice(children.indexOf(node), 1);
    if (children.length === 0) this.#dropRoot(node.parent);
  }

  #dropRoot(node: TreeNode): void {
    if ('scope' in node) this.#roots.delete(node.scope);
  }
}

/** What the cache asks of a sequence. */
export interface PrefixHolder {
  readonly tokens: Int32Array;
  readonly adapter: string | undefined;
  /** Of what the adapter is composed. */
  readonly adapterParts: readonly string[];
  readonly keys: PrefixKeys;
  readonly pages: number[];
  /** Tokens whose keys and values are in its pages. */
  computedTokens: number;
  /** The last of its pages that the cache knows; those before it are known too. */
  lastKnown: PageNode | undefined;
  readonly paused: boolean;
}

export interface PrefixMatch {
  /** Tokens that need not be computed. */
  readonly tokens: number;
  readonly nodes: readonly PageNode[];
  /** How many of `nodes` somebody holds; the others are idle. */
  readonly heldPages: number;
  /** A page that begins with the tokens that follow; `idle` when nobody holds it. */
  readonly tail: { readonly node: PageNode; readonly idle: boolean } | undefined;
}

export interface PageCopy {
  readonly from: number;
  /** Which of the sequence's pages it goes to. */
  readonly toIndex: number;
  /** To be called when the content is copied, or not wanted. */
  readonly done: () => void;
}

interface RootNode {
  readonly scope: string;
  readonly adapter: string | undefined;
  readonly adapterParts: readonly string[];
  /** Of the page before its first ones, -1 where they begin sequences. */
  readonly depth: number;
  readonly children: PageNode[];
  readonly forgotten: boolean;
}

export interface PageNode {
  /** Absent: the page is not full. */
  readonly key: string | undefined;
  readonly page: number;
  readonly tokens: Int32Array;
  readonly parent: TreeNode;
  /** Place in the sequence, in pages. */
  readonly depth: number;
  /** In order of arrival. */
  readonly children: PageNode[];
  forgotten: boolean;
}

type TreeNode = RootNode | PageNode;

/** A node's children that are looked through for a page to copy from: the newest. */
const SCANNED_CHILDREN = 16;
/** Prompts that share nothing but how every prompt begins are not worth a copy. */
const LEAST_FIRST_TAIL = 4;

function isOf(
  { adapter, adapterParts }: Pick<PrefixHolder, 'adapter' | 'adapterParts'>,
  digest: string,
): boolean {
  return adapter === digest || adapterParts.includes(digest);
}

function longestTail(
  parent: TreeNode | undefined,
  tokens: Int32Array,
): { node: PageNode; tokens: number } | undefined {
  if (parent === undefined) return undefined;
  let best: { node: PageNode; tokens: number } | undefined;
  let most = parent.depth < 0 ? LEAST_FIRST_TAIL - 1 : 0;
  for (const node of parent.children.slice(-SCANNED_CHILDREN)) {
    const common = commonLength(node.tokens, tokens);
    if (common <= most) continue;
    most = common;
    best = { node, tokens: common };
  }
  return best;
}

function commonLength(a: Int32Array, b: Int32Array): number {
  const most = Math.min(a.length, b.length);
  let length = 0;
  while (length < most && a[length] === b[length]) length++;
  return length;
}

/** Every node below, parents before their children. */
function below(root: RootNode): PageNode[] {
  const nodes = [...root.children];
  for (let at = 0; at < nodes.length; at++) nodes.push(...(nodes[at] as PageNode).children);
  return nodes;
}

/** How many of the first `count` hold; those that do come first. */
function boundary(count: number, holds: (index: number) => boolean): number {
  let low = 0;
  let high = count;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (holds(middle)) low = middle + 1;
    else high = middle;
  }
  return low;
}
