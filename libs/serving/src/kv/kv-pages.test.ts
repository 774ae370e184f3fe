import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { KvPages } from './kv-pages.js';

describe('KV pages', () => {
  it('covers the tokens asked for and no more', () => {
    const pages = new KvPages(8, 16);
    const held: number[] = [];
    pages.grow(held, 16);
    expect(held).toHaveLength(1);
    pages.grow(held, 17);
    expect(held).toHaveLength(2);
    expect(pages.freePages).toBe(6);
  });

  it('keeps a shared page until its last holder lets go', () => {
    const pages = new KvPages(2, 16);
    const first: number[] = [];
    pages.grow(first, 16);
    const second = [...first];
    pages.share(first[0] as number);
    pages.release(first);
    expect(pages.freePages).toBe(1);
    pages.release(second);
    expect(pages.freePages).toBe(2);
  });

  it('refuses to hand out more than there is, or to take back twice', () => {
    const pages = new KvPages(1, 16);
    expect(() => pages.grow([], 17)).toThrow('broken invariant');
    const held: number[] = [];
    pages.grow(held, 1);
    const copy = [...held];
    pages.release(held);
    expect(() => pages.release(copy)).toThrow('broken invariant');
    expect(() => pages.share(copy[0] as number)).toThrow('broken invariant');
  });

  it('never gives a page to two holders, and has all of them again at the end', () => {
    const actions = fc.array(fc.tuple(fc.integer({ min: 0, max: 4 }), fc.integer({ min: 0, max: 60 })));
    fc.assert(
      fc.property(actions, (list) => {
        const pages = new KvPages(12, 8);
        const holders: number[][] = [[], [], [], [], []];
        for (const [who, tokens] of list) {
          const held = holders[who] as number[];
          if (tokens === 0) pages.release(held);
          else if (Math.ceil(tokens / 8) - held.length <= pages.freePages) pages.grow(held, tokens);
          const all = holders.flat();
          expect(new Set(all).size).toBe(all.length);
          expect(pages.freePages).toBe(12 - all.length);
        }
        for (const held of holders) pages.release(held);
        expect(pages.freePages).toBe(12);
      }),
    );
  });
});
