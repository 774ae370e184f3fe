import assert from 'node:assert/strict';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { KvPages } from './kv-pages.js';
import { PrefixCache, type PageNode, type PrefixHolder } from './prefix-cache.js';
import { PrefixKeys, scopeKey } from './prefix-keys.js';

const PAGE_TOKENS = 4;

class Holder implements PrefixHolder {
  readonly keys: PrefixKeys;
  readonly pages: number[] = [];
  computedTokens = 0;
  lastKnown: PageNode | undefined;
  paused = false;

  constructor(
    readonly tokens: Int32Array,
    readonly adapter: string | undefined = undefined,
    cacheSalt = 'tenant',
    readonly adapterParts: readonly string[] = [],
    /** Where an activated LoRA begins. */
    readonly from?: number,
  ) {
    const base = from === undefined ? adapter : undefined;
    const branch = from === undefined || adapter === undefined ? undefined : { adapter, scale: 1, from };
    this.keys = new PrefixKeys(scopeKey({ cacheSalt, adapter: base, scale: 1 }), PAGE_TOKENS, branch);
  }

  /** What a token's keys and values are of. */
  nameAt(at: number): string {
    const own = this.from !== undefined && at >= this.from ? `${this.adapter} from ${this.from}` : '';
    return [this.keys.scope, own, ...this.tokens.subarray(0, at + 1)].join(' ');
  }
}

/** A cache over pages of which each knows which tokens of which scope were computed into it. */
class Bench {
  readonly pages: KvPages;
  readonly cache: PrefixCache;
  readonly #content = new Map<number, string[]>();
  evictions = 0;

  constructor(pages: number) {
    this.pages = new KvPages(pages, PAGE_TOKENS);
    this.cache = new PrefixCache(this.pages, () => this.evictions++);
  }

  /** Takes what is found and computes the rest; says how many tokens were found. Undefined: there is no room. */
  run(holder: Holder, limitTokens = holder.tokens.length - 1): number | undefined {
    const match = this.cache.find(holder, limitTokens);
    const need = Math.ceil(holder.tokens.length / PAGE_TOKENS) - match.heldPages + (match.tail?.idle ? 1 : 0);
    if (need > this.pages.freePages) return undefined;
    const copy = this.cache.attach(holder, match);
    this.pages.grow(holder.pages, holder.tokens.length);
    if (copy !== undefined) {
      this.#content.set(holder.pages[copy.toIndex] as number, [...(this.#content.get(copy.from) ?? [])]);
      copy.done();
    }
    for (let at = 0; at < holder.tokens.length; at++) {
      const page = holder.pages[Math.floor(at / PAGE_TOKENS)] as number;
      const name = holder.nameAt(at);
      const content = this.#content.get(page) ?? [];
      if (at < match.tokens) assert.equal(content[at % PAGE_TOKENS], name);
      else {
        assert.equal(this.pages.holders(page), 1); // nobody writes what others read
        content[at % PAGE_TOKENS] = name;
        this.#content.set(page, content);
      }
    }
    holder.computedTokens = holder.tokens.length;
    this.cache.publish(holder);
    return match.tokens;
  }

  end(holder: Holder): void {
    this.cache.release(holder);
  }

  once(holder: Holder): number | undefined {
    const found = this.run(holder);
    this.end(holder);
    return found;
  }
}

const tokensOf = (length: number, salt = 0): Int32Array =>
  Int32Array.from({ length }, (_, i) => i * 7 + salt * 1000 + 1);
const joined = (...parts: readonly Int32Array[]): Int32Array => Int32Array.from(parts.flatMap((p) => [...p]));

describe('the prefix cache', () => {
  it('finds full pages while their first request still runs, and shares them', () => {
    const bench = new Bench(8);
    const first = new Holder(tokensOf(10));
    expect(bench.run(first)).toBe(0);
    const second = new Holder(joined(tokensOf(10), tokensOf(4, 1)));
    expect(bench.run(second)).toBe(8);
    expect(second.pages.slice(0, 2)).toEqual(first.pages.slice(0, 2));
    expect(bench.pages.freePages).toBe(8 - 3 - 2);
  });

  it('finds a follow-up turn up to the last token that was computed, and copies the page that is not full', () => {
    const bench = new Bench(16);
    bench.once(new Holder(tokensOf(11)));
    const next = new Holder(joined(tokensOf(11), tokensOf(5, 1)));
    expect(bench.run(next)).toBe(11);
    bench.end(next);
    expect(bench.run(new Holder(joined(tokensOf(11), tokensOf(5, 2))))).toBe(11);
  });

  it('leaves the last token to be computed although all are known', () => {
    const bench = new Bench(16);
    bench.once(new Holder(tokensOf(12)));
    expect(bench.once(new Holder(tokensOf(12)))).toBe(11);
    expect(bench.once(new Holder(tokensOf(13)))).toBe(12);
  });

  it('shares nothing between tenants, adapters, or an adapter and the base', () => {
    const bench = new Bench(64);
    const scopes: [string | undefined, string][] = [
      [undefined, 'tenant'],
      [undefined, 'other'],
      ['a', 'tenant'],
      ['b', 'tenant'],
      ['a', 'other'],
    ];
    for (const [adapter, salt] of scopes) expect(bench.run(new Holder(tokensOf(9), adapter, salt))).toBe(0);
    for (const [adapter, salt] of scopes) expect(bench.run(new Holder(tokensOf(9), adapter, salt))).toBe(8);
  });

  it('tells scopes apart whatever their names hold', () => {
    const names = ['', 'a', 'a","b', 'null', ']', '","'];
    const keys = names.flatMap((cacheSalt) =>
      [undefined, ...names].map((adapter) => scopeKey({ cacheSalt, adapter, scale: 1 })),
    );
    expect(new Set(keys).size).toBe(keys.length);
  });

  it('joins pages that two requests computed at the same time', () => {
    const bench = new Bench(8);
    const [first, second] = [new Holder(tokensOf(9)), new Holder(tokensOf(9))];
    for (const holder of [first, second]) {
      bench.pages.grow(holder.pages, 9);
      holder.computedTokens = 9;
    }
    expect(bench.pages.freePages).toBe(2);
    bench.cache.publish(first);
    bench.cache.publish(second);
    expect(second.pages.slice(0, 2)).toEqual(first.pages.slice(0, 2));
    expect(bench.pages.freePages).toBe(4);
  });

  it('lets the least recently used prefix go first, its end before its beginning', () => {
    const bench = new Bench(7);
    bench.once(new Holder(tokensOf(12, 1)));
    bench.once(new Holder(tokensOf(8, 2)));
    bench.once(new Holder(joined(tokensOf(4, 1), tokensOf(1, 9)))); // the first page of 1 is used again
    expect(bench.evictions).toBe(0);
    const large = new Holder(tokensOf(12, 3));
    expect(bench.run(large)).toBe(0);
    expect(bench.evictions).toBe(2);
    bench.end(large);
    expect(bench.cache.find(new Holder(tokensOf(12, 1)), 12).tokens).toBe(4);
    expect(bench.cache.find(new Holder(tokensOf(8, 2)), 8).tokens).toBe(8);
  });

  it('keeps one page for a chat that goes on, not one for each of its turns', () => {
    const bench = new Bench(32);
    for (let length = 5; length <= 24; length++) bench.once(new Holder(tokensOf(length)));
    expect(bench.cache.cachedPages).toBe(6);
    expect(bench.pages.freePages).toBe(32);
  });

  it('forgets an adapter: its idle pages are free, its held ones are found no more', () => {
    const bench = new Bench(16);
    bench.once(new Holder(tokensOf(10, 1), 'a'));
    bench.once(new Holder(tokensOf(10, 1), 'b'));
    const running = new Holder(tokensOf(6, 2), 'a');
    bench.run(running);
    bench.cache.forget('a');
    expect(bench.cache.cachedPages).toBe(3);
    expect(bench.cache.find(new Holder(tokensOf(10, 1), 'a'), 10).tokens).toBe(0);
    expect(bench.cache.find(new Holder(tokensOf(6, 2), 'a'), 6).tokens).toBe(0);
    expect(bench.cache.find(new Holder(tokensOf(10, 1), 'b'), 10).tokens).toBe(10);
    bench.end(running); // computed before the adapter went: it brings nothing back
    expect(bench.cache.cachedPages).toBe(3);
    expect(bench.pages.freePages).toBe(16);
  });

  it('says which page a running request is about to compute, until it is there', () => {
    const bench = new Bench(16);
    const leader = new Holder(tokensOf(12));
    const follower = new Holder(joined(tokensOf(8), tokensOf(4, 1)));
    const nothing = bench.cache.find(follower, 11);
    const key = bench.cache.nextKey(follower, nothing, 11) ?? '';
    expect(bench.cache.isComputed(key)).toBe(false);
    bench.cache.attach(leader, bench.cache.find(leader, 11));
    expect(bench.cache.isComputed(key)).toBe(true);
    leader.paused = true;
    expect(bench.cache.isComputed(key)).toBe(false);
    leader.paused = false;
    bench.end(leader);
    expect(bench.cache.isComputed(key)).toBe(false);
  });

  it('forgets what an adapter computed together with others', () => {
    const bench = new Bench(8);
    const composed = () => new Holder(tokensOf(9), 'a and b', 'tenant', ['a', 'b']);
    bench.run(composed());
    bench.cache.forget('c');
    expect(bench.run(composed())).toBe(8);
    bench.cache.forget('b');
    expect(bench.run(composed())).toBe(0);
  });

  it("finds the base's pages for what comes before an activated LoRA, also in the page where it begins", () => {
    const bench = new Bench(32);
    const from = (at: number) => new Holder(tokensOf(20), 'a', 'tenant', [], at);
    expect(bench.once(new Holder(tokensOf(11)))).toBe(0);
    expect(bench.once(from(10))).toBe(10);
    expect(bench.once(from(10))).toBe(19);
    expect(bench.once(from(9))).toBe(9); // the same pages before it, but invoked a token earlier
    expect(bench.once(from(6))).toBe(6);
    expect(bench.once(new Holder(tokensOf(20)))).toBe(11);
    bench.cache.forget('a');
    expect(bench.once(from(10))).toBe(10);
  });

  it('lets nobody wait for a page of an adapter that was forgotten', () => {
    const bench = new Bench(16);
    const leader = new Holder(tokensOf(12), 'a');
    bench.cache.attach(leader, bench.cache.find(leader, 11));
    const follower = new Holder(tokensOf(12), 'a');
    const key = bench.cache.nextKey(follower, bench.cache.find(follower, 11), 11) ?? '';
    expect(bench.cache.isComputed(key)).toBe(true);
    bench.cache.forget('a');
    expect(bench.cache.isComputed(key)).toBe(false);
  });

  it('gives only what was computed for exactly these tokens, whatever comes and goes', () => {
    const action = fc.record({
      who: fc.integer({ min: 0, max: 5 }),
      scope: fc.constantFrom(['x', undefined], ['x', 'a'], ['y', 'a'], ['x', 'b']) as fc.Arbitrary<
        [string, string | undefined]
      >,
      // Few different tokens, so that beginnings coincide.
      tokens: fc.array(fc.integer({ min: 0, max: 1 }), { minLength: 1, maxLength: 22 }),
      forgets: fc.integer({ min: 0, max: 12 }),
      from: fc.option(fc.integer({ min: 0, max: 21 }), { nil: undefined }),
    });
    fc.assert(
      fc.property(fc.array(action, { maxLength: 60 }), (actions) => {
        const bench = new Bench(14);
        const running = new Map<number, Holder>();
        for (const { who, scope, tokens, forgets, from } of actions) {
          const before = running.get(who);
          if (before !== undefined) bench.end(before);
          running.delete(who);
          if (forgets < 2) bench.cache.forget(forgets === 0 ? 'a' : 'b');
          const begins =
            scope[1] !== undefined && from !== undefined && from < tokens.length ? from : undefined;
          const holder = new Holder(Int32Array.from(tokens), scope[1], scope[0], [], begins);
          if (bench.run(holder) !== undefined) running.set(who, holder);
          const held = new Set([...running.values()].flatMap((one) => one.pages));
          expect(bench.pages.freePages).toBe(14 - held.size);
          expect(bench.cache.cachedPages).toBeLessThanOrEqual(14);
        }
        for (const holder of running.values()) bench.end(holder);
        expect(bench.pages.freePages).toBe(14);
        bench.cache.forget('a');
        bench.cache.forget('b');
        expect(bench.pages.idlePages).toBe(bench.cache.cachedPages);
      }),
      { numRuns: 300 },
    );
  });
});
