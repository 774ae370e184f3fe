import { expect, it } from 'vitest';
import { StartTurns } from './start-turns.js';

const aTurn = () => new Promise<void>((done) => setImmediate(done));

it('lets only so many requests of one owner begin in one turn of the event loop, and others at once', async () => {
  const turns = new StartTurns(2);
  const begun: string[] = [];
  const begin = (owner: string, times: number): void => {
    for (let each = 0; each < times; each += 1) void turns.begin(owner).then(() => begun.push(owner));
  };
  begin('greedy', 5);
  begin('other', 1);
  await Promise.resolve();
  expect(begun).toEqual(['greedy', 'greedy', 'other']);
  await aTurn();
  begin('greedy', 1); // behind those that wait
  expect(begun).toHaveLength(5);
  await aTurn();
  expect(begun).toHaveLength(7);
  await aTurn();
  begin('greedy', 2);
  await Promise.resolve();
  expect(begun).toHaveLength(9);
});
