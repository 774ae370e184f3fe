import { describe, expect, it } from 'vitest';
import { mergeStreams } from './merge-streams.js';

async function* values<T>(...items: (T | Promise<T>)[]): AsyncGenerator<T> {
  for (const item of items) yield await item;
}
const later = <T>(value: T, ms: number) => new Promise<T>((resolve) => setTimeout(() => resolve(value), ms));

async function collect<T>(merged: AsyncIterable<{ source: number; value: T }>): Promise<[number, T][]> {
  const all: [number, T][] = [];
  for await (const { source, value } of merged) all.push([source, value]);
  return all;
}

describe('mergeStreams', () => {
  it('yields every value of every source, each source in its order', async () => {
    const all = await collect(mergeStreams([values('a', 'b', 'c'), values<string>(), values('x', 'y')]));
    expect(all.filter(([source]) => source === 0).map(([, value]) => value)).toEqual(['a', 'b', 'c']);
    expect(all.filter(([source]) => source === 2).map(([, value]) => value)).toEqual(['x', 'y']);
    expect(all).toHaveLength(5);
  });

  it('does not let a slow source hold a fast one', async () => {
    const all = await collect(mergeStreams([values(later('slow', 30)), values('fast', 'faster')]));
    expect(all.at(-1)).toEqual([0, 'slow']);
  });

  it('asks a source for its next value only after the last one was read', async () => {
    let asked = 0;
    async function* counting() {
      for (;;) yield asked++;
    }
    for await (const { value } of mergeStreams([counting()])) {
      expect(asked).toBe(value + 1);
      if (value === 3) break;
    }
  });

  it('throws the fault of any source, even while others are silent', async () => {
    const silent: AsyncIterable<string> = {
      [Symbol.asyncIterator]: () => ({ next: () => new Promise(() => {}) }),
    };
    const failing = (async function* (): AsyncGenerator<string> {
      yield await Promise.reject(new Error('broken'));
    })();
    await expect(collect(mergeStreams([silent, failing]))).rejects.toThrow('broken');
  });

  it('ends at once without sources', async () => {
    expect(await collect(mergeStreams([]))).toEqual([]);
  });
});
