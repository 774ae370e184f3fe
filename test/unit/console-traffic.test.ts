import { describe, expect, it } from 'vitest';
import { choose, give, trafficOf } from '../../apps/console/src/pages/traffic.js';

const sum = (traffic: Readonly<Record<string, number>>) =>
  Object.values(traffic).reduce((all, share) => all + share, 0);

describe('the shares of traffic in the console', () => {
  it('are percents, whatever the weights of the alias are', () => {
    const routes = [
      { version: 1, weight: 1 },
      { version: 2, weight: 2 },
    ];
    expect(trafficOf(routes)).toEqual({ 1: 33, 2: 67 });
    expect(trafficOf([])).toEqual({});
  });

  it('begin with a tenth for who is added, and fill up what one leaves', () => {
    expect(choose({}, ['3'])).toEqual({ 3: 100 });
    expect(choose({ 1: 100 }, ['1', '2'])).toEqual({ 1: 90, 2: 10 });
    expect(choose({ 1: 60, 2: 40 }, ['1', '2', '3'])).toEqual({ 1: 54, 2: 36, 3: 10 });
    expect(choose({ 1: 90, 2: 10 }, ['2'])).toEqual({ 2: 100 });
    expect(choose({ 1: 100 }, ['2'])).toEqual({ 2: 100 });
  });

  it('add up to a hundred when one is moved', () => {
    expect(give({ 1: 90, 2: 10 }, '2', 25)).toEqual({ 1: 75, 2: 25 });
    expect(give({ 1: 100, 2: 0 }, '1', 40)).toEqual({ 1: 40, 2: 60 });
    expect(give({ 1: 100 }, '1', 40)).toEqual({ 1: 100 });
    for (let share = 0; share <= 100; share += 7)
      expect(sum(give({ 1: 33, 2: 33, 3: 34 }, '2', share))).toBe(100);
  });
});
