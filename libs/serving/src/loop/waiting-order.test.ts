import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Waiting, WaitingOrder } from './waiting-order.js';

const waiting = (id: number, fairnessKey: string, paused = false): Waiting => ({
  id,
  fairnessKey,
  paused,
  fairnessWeight: 1,
});

const byKey = (requests: readonly Waiting[]): Map<string, Waiting[]> => {
  const queues = new Map<string, Waiting[]>();
  for (const request of requests) {
    queues.set(request.fairnessKey, [...(queues.get(request.fairnessKey) ?? []), request]);
  }
  return queues;
};

describe('the order of waiting requests', () => {
  it('takes the least served key first, the older request of equals, and leaves paused ones out', () => {
    const requests = [
      waiting(0, 'a'),
      waiting(1, 'b'),
      waiting(2, 'b', true),
      waiting(3, 'b'),
      waiting(4, 'c'),
    ];
    const order = new WaitingOrder(byKey(requests), (key) => ({ a: 5, b: 0, c: 0 })[key] ?? 0);
    const ids: (number | undefined)[] = [];
    for (let i = 0; i < 5; i++) {
      ids.push(order.next()?.id);
      order.charge(3);
    }
    expect(ids).toEqual([1, 4, 3, 0, undefined]);
  });

  it('is the order of a plain search, whatever the keys, their past and the charges', () => {
    const request = fc.record({ key: fc.integer({ min: 0, max: 9 }), paused: fc.boolean() });
    const past = fc.array(fc.integer({ min: 0, max: 20 }), { minLength: 10, maxLength: 10 });
    const costs = fc.array(fc.integer({ min: 0, max: 9 }), { minLength: 40, maxLength: 40 });
    fc.assert(
      fc.property(fc.array(request, { maxLength: 40 }), past, costs, (given, served, charges) => {
        const requests = given.map(({ key, paused }, id) => waiting(id, `${key}`, paused));
        const order = new WaitingOrder(byKey(requests), (key) => served[Number(key)] ?? 0);
        const level = [...served];
        const left = requests.filter((one) => !one.paused);
        for (const cost of charges) {
          const heads = left.filter((one) => left.find((o) => o.fairnessKey === one.fairnessKey) === one);
          const levelOf = (one: Waiting): number => level[Number(one.fairnessKey)] ?? 0;
          heads.sort((a, b) => levelOf(a) - levelOf(b) || a.id - b.id);
          const [wanted] = heads;
          expect(order.next()).toBe(wanted);
          if (wanted === undefined) return;
          left.splice(left.indexOf(wanted), 1);
          level[Number(wanted.fairnessKey)] = levelOf(wanted) + cost;
          order.charge(cost);
        }
      }),
    );
  });
});
