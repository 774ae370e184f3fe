import { setImmediate as nextIteration } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { Turns } from './turns.js';

it('lets some pass at once and the others in their order, some in each iteration of the event loop', async () => {
  const turns = new Turns();
  const passed: number[] = [];
  const waits = Array.from({ length: 40 }, async (_, index) => {
    await turns.take();
    passed.push(index);
  });
  await Promise.resolve();
  expect(passed).toEqual(Array.from({ length: 3 }, (_, index) => index));
  await nextIteration();
  expect(passed).toHaveLength(6);
  await Promise.all(waits);
  expect(passed).toEqual(Array.from({ length: 40 }, (_, index) => index));
  await nextIteration();
  expect(turns.take()).toBeUndefined();
});
