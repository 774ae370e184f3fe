import { setImmediate as nextIteration } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { FairWork } from './fair-work.js';

/** Work of at least so long. */
function spin(ms: number): void {
  const end = performance.now() + ms;
  while (performance.now() < end);
}

it('begins at once, and does a slice in each iteration of the event loop', async () => {
  const work = new FairWork();
  const done: number[] = [];
  const all = Array.from({ length: 5 }, (_, index) =>
    work.run('a', () => {
      spin(4.1);
      done.push(index);
    }),
  );
  expect(done).toEqual([0]);
  await Promise.all(all);
  expect(done).toEqual([0, 1, 2, 3, 4]);
});

it('gives owners turns, whoever of them asked most', async () => {
  const work = new FairWork();
  const done: string[] = [];
  const ask = (owner: string) =>
    work.run(owner, () => {
      spin(4.1);
      done.push(owner);
    });
  await Promise.all([ask('a'), ask('a'), ask('a'), ask('b')]);
  expect(done).toEqual(['a', 'a', 'b', 'a']);
});

it('lets the loop come round, and rest, between two that go on with what they asked for', async () => {
  const work = new FairWork();
  let iteration = 0;
  const begun: number[] = [];
  const ended_ms: number[] = [];
  const began_ms: number[] = [];
  const goOn = async () => {
    await work.finish('a', () => {
      begun.push(iteration);
      began_ms.push(performance.now());
    });
    spin(10); // a handler's check of a large body
    ended_ms.push(performance.now());
  };
  const all = Promise.all([goOn(), goOn(), goOn()]);
  let isOver = false;
  void all.then(() => (isOver = true));
  while (!isOver) {
    await nextIteration();
    iteration += 1;
  }
  expect(new Set(begun).size).toBe(3);
  for (const at of [1, 2]) expect((began_ms[at] ?? 0) - (ended_ms[at - 1] ?? 0)).toBeGreaterThanOrEqual(9);
});
