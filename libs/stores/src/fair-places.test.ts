import { describe, expect, it } from 'vitest';
import { FairPlaces } from './fair-places.js';

const LONG_MS = 60_000;

/** Notes who got a place, in that order. */
function taking(places: FairPlaces, got: string[]) {
  return (key: string) => void places.take(key, LONG_MS).then((is) => is && got.push(key));
}
const settled = () => new Promise<void>((done) => setImmediate(done));

describe('FairPlaces', () => {
  it('gives one owner no more than its bound, and the rest to others at once', async () => {
    const places = new FairPlaces(3, 2);
    const got: string[] = [];
    const take = taking(places, got);
    for (let each = 0; each < 5; each += 1) take('greedy');
    take('other');
    await settled();
    expect(got).toEqual(['greedy', 'greedy', 'other']);
  });

  it('gives the next place to who holds the fewest, not to who asked first', async () => {
    const places = new FairPlaces(3, 3);
    const got: string[] = [];
    const take = taking(places, got);
    for (const key of ['greedy', 'greedy', 'greedy', 'greedy', 'greedy', 'other', 'other', 'third'])
      take(key);
    for (let freed = 0; freed < 3; freed += 1) {
      await settled();
      places.giveBack('greedy');
    }
    await settled();
    expect(got.slice(3)).toEqual(['other', 'third', 'greedy']);
  });

  it('says when none came in time, and forgets the wish', async () => {
    const places = new FairPlaces(1, 1);
    expect(await places.take('first', LONG_MS)).toBe(true);
    expect(await places.take('late', 1)).toBe(false);
    const got: string[] = [];
    taking(places, got)('next');
    places.giveBack('first');
    await settled();
    expect(got).toEqual(['next']);
  });
});
