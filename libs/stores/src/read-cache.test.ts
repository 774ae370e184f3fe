import { describe, expect, it } from 'vitest';
import { ReadCache } from './read-cache.js';

const away = Object.assign(new Error('refused'), { code: 'ECONNREFUSED' });

function make(limit = 10) {
  const clock = { now_ms: 0 };
  const cache = new ReadCache<{ n: number }>({ fresh_ms: 100, stale_ms: 1000, limit }, () => clock.now_ms);
  return { clock, cache };
}

describe('ReadCache', () => {
  it('asks once for many readers and again when the value is old', async () => {
    const { clock, cache } = make();
    let loads = 0;
    const load = async () => ({ n: ++loads });
    expect(await Promise.all([cache.get('a', load), cache.get('a', load)])).toEqual([{ n: 1 }, { n: 1 }]);
    clock.now_ms = 99;
    expect(await cache.get('a', load)).toEqual({ n: 1 });
    clock.now_ms = 100;
    expect(await cache.get('a', load)).toEqual({ n: 2 });
  });

  it('never remembers that there was nothing', async () => {
    const { cache } = make();
    expect(await cache.get('a', async () => undefined)).toBeUndefined();
    expect(await cache.get('a', async () => ({ n: 1 }))).toEqual({ n: 1 });
  });

  it('does not keep what a load read before it was forgotten', async () => {
    const { cache } = make();
    let release: (value: { n: number }) => void = () => undefined;
    const old = cache.get('a', () => new Promise((resolve) => (release = resolve)));
    cache.forget('a');
    release({ n: 1 });
    expect(await old).toEqual({ n: 1 });
    expect(await cache.get('a', async () => ({ n: 2 }))).toEqual({ n: 2 });
  });

  it('goes on with what it knows while the database is away, within its limit', async () => {
    const { clock, cache } = make();
    await cache.get('a', async () => ({ n: 1 }));
    const refuse = () => Promise.reject(away);
    clock.now_ms = 500;
    expect(await cache.get('a', refuse)).toEqual({ n: 1 });
    cache.expireAll();
    clock.now_ms = 999;
    expect(await cache.get('a', refuse)).toEqual({ n: 1 });
    clock.now_ms = 2_000;
    await expect(cache.get('a', refuse)).rejects.toThrow('refused');
    await expect(cache.get('b', refuse)).rejects.toThrow('refused');
  });

  it('goes on with what it knows while the database says nothing, and takes the answer when it comes', async () => {
    const { clock, cache } = make();
    await cache.get('a', async () => ({ n: 1 }));
    clock.now_ms = 500;
    let answer: (value: { n: number }) => void = () => undefined;
    const silent = () => new Promise<{ n: number }>((resolve) => (answer = resolve));
    expect(await cache.get('a', silent)).toEqual({ n: 1 });
    answer({ n: 2 });
    await Promise.resolve();
    await expect.poll(() => cache.get('a', silent)).toEqual({ n: 2 });
  });

  it('waits for a silent database rather than use what was forgotten', async () => {
    const { clock, cache } = make();
    await cache.get('a', async () => ({ n: 1 }));
    clock.now_ms = 500;
    let answer: (value: undefined) => void = () => undefined;
    const asked = cache.get('a', () => new Promise<undefined>((resolve) => (answer = resolve)));
    cache.forget('a');
    setTimeout(() => answer(undefined), 700);
    expect(await asked).toBeUndefined();
  });

  it('lets the least recently used go first', async () => {
    const { cache } = make(2);
    for (const key of ['a', 'b', 'a', 'c']) await cache.get(key, async () => ({ n: 1 }));
    expect(await cache.get('a', async () => ({ n: 2 }))).toEqual({ n: 1 });
    expect(await cache.get('b', async () => ({ n: 2 }))).toEqual({ n: 2 });
  });

  it('forgets a group at once, also where a load is under way, and nothing else', async () => {
    const { cache } = make(3);
    const load = (n: number) => async () => ({ n });
    await cache.get('a1', load(1), 'a');
    await cache.get('b1', load(1), 'b');
    let release: (value: { n: number }) => void = () => undefined;
    const old = cache.get('a2', () => new Promise((resolve) => (release = resolve)), 'a');
    cache.forgetGroup('a');
    release({ n: 1 });
    await old;
    expect(await cache.get('a1', load(2), 'a')).toEqual({ n: 2 });
    expect(await cache.get('a2', load(2), 'a')).toEqual({ n: 2 });
    expect(await cache.get('b1', load(2), 'b')).toEqual({ n: 1 });
    cache.forgetGroup('a');
    expect(await cache.get('a2', load(3), 'a')).toEqual({ n: 3 });
  });

  it('still forgets a group whose key was pushed out and loaded again', async () => {
    const { cache } = make(1);
    for (const key of ['a', 'x', 'a']) await cache.get(key, async () => ({ n: 1 }), key);
    cache.forgetGroup('a');
    expect(await cache.get('a', async () => ({ n: 2 }), 'a')).toEqual({ n: 2 });
  });

  it('serves what it knew no longer than promised, however often everything expires', async () => {
    const { clock, cache } = make();
    await cache.get('a', async () => ({ n: 1 }));
    for (clock.now_ms = 0; clock.now_ms < 1_000; clock.now_ms += 200) cache.expireAll();
    await expect(cache.get('a', () => Promise.reject(away))).rejects.toThrow('refused');
  });
});
