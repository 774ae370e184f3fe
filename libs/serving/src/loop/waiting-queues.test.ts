import { expect, it } from 'vitest';
import { WaitingQueues } from './waiting-queues.js';

const ask = (id: number, priority?: number, fairnessKey = 'a') => ({ id, fairnessKey, priority });

it('puts the lower priority first, then who came first, within each key alone', () => {
  const queues = new WaitingQueues<ReturnType<typeof ask>>();
  for (const each of [ask(1), ask(2, 5), ask(3, -5), ask(4, 0), ask(5, -5, 'b'), ask(6, -5)])
    queues.add(each);
  expect(queues.byKey.get('a')?.map(({ id }) => id)).toEqual([3, 6, 1, 4, 2]);
  expect(queues.byKey.get('b')?.map(({ id }) => id)).toEqual([5]);
  expect(queues.remove(queues.byKey.get('a')?.[1] as ReturnType<typeof ask>)).toBe(true);
  queues.add(ask(0, -5));
  expect(queues.byKey.get('a')?.map(({ id }) => id)).toEqual([0, 3, 1, 4, 2]);
});
