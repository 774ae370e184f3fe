import { describe, expect, it } from 'vitest';
import { FairTurns, type Turn } from './fair-turns.js';

/** Turns under a clock of the test's own; `order` says who got a turn when. */
function fixture(options: { slots: number; slotsPerCaller: number; waitingPerCaller?: number }) {
  let now = 0;
  const turns = new FairTurns({ waitingPerCaller: 100, ...options, now: () => now });
  const order: string[] = [];
  const held: Turn[] = [];
  const note = async (caller: string, turn: Promise<Turn>): Promise<void> => {
    held.push(await turn);
    order.push(caller);
  };
  const ask = (caller: string): boolean => {
    const turn = turns.take(caller);
    if (turn !== undefined) void note(caller, turn);
    return turn !== undefined;
  };
  const settle = async (): Promise<void> => {
    for (let i = 0; i < 5; i++) await Promise.resolve();
  };
  /** The oldest running task ends after so long. */
  const finish = async (took_ms: number): Promise<void> => {
    now += took_ms;
    held.shift()?.release();
    await settle();
  };
  return { turns, order, ask, finish, settle };
}

describe('fair turns', () => {
  it('give a newcomer the next turn before a caller with many waiting tasks', async () => {
    const { ask, finish, order, settle } = fixture({ slots: 1, slotsPerCaller: 1 });
    for (let i = 0; i < 5; i++) ask('flood');
    await settle();
    ask('other');
    await finish(100);
    await finish(1);
    expect(order).toEqual(['flood', 'other', 'flood']);
  });

  it('are shared by the time that tasks take, not by their number', async () => {
    const { ask, finish, order, settle } = fixture({ slots: 1, slotsPerCaller: 1 });
    for (let i = 0; i < 4; i++) ask('slow');
    for (let i = 0; i < 12; i++) ask('quick');
    await settle();
    await finish(100);
    for (let i = 0; i < 10; i++) await finish(10);
    expect(order.slice(0, 12)).toEqual(['slow', ...Array<string>(10).fill('quick'), 'slow']);
  });

  it('never give one caller all places, and a starved caller is told of', async () => {
    const { ask, order, settle, turns } = fixture({ slots: 3, slotsPerCaller: 2 });
    for (let i = 0; i < 5; i++) ask('a');
    await settle();
    expect(order).toEqual(['a', 'a']);
    expect(turns.isAnyoneStarved).toBe(false);
    ask('b');
    ask('c');
    await settle();
    expect(order).toEqual(['a', 'a', 'b']);
    expect(turns.isAnyoneStarved).toBe(true);
  });

  it('are refused to a caller with too many waiting tasks, and to nobody else', async () => {
    const { ask } = fixture({ slots: 1, slotsPerCaller: 1, waitingPerCaller: 2 });
    expect([ask('a'), ask('a'), ask('a'), ask('a')]).toEqual([true, true, true, false]);
    expect(ask('b')).toBe(true);
  });
});
