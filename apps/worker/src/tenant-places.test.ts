import { expect, it } from 'vitest';
import { TenantPlaces } from './tenant-places.js';

it('leaves the last place to others, and says which job was sent back first', () => {
  const places = new TenantPlaces(2);
  expect(places.count).toBe(3);
  expect([places.take('a', '1'), places.take('a', '2'), places.take('a', '3')]).toEqual([true, true, false]);
  expect([places.take('a', '4'), places.take('a', '3'), places.take('b', '5')]).toEqual([false, false, true]);
  expect(places.giveBack('a')).toBe('3');
  expect(places.take('a', '3')).toBe(true);
  expect([places.giveBack('a'), places.giveBack('a'), places.giveBack('b')]).toEqual([
    '4',
    undefined,
    undefined,
  ]);
});

it('gives the only place to anybody', () => {
  const places = new TenantPlaces(1);
  expect(places.count).toBe(1);
  expect([places.take('a', '1'), places.take('a', '2')]).toEqual([true, false]);
});
