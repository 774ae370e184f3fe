import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { DependencyCheck } from './dependency-check.js';

let answer: () => Promise<unknown>;
let asked: number;
let check: DependencyCheck;

beforeEach(() => {
  vi.useFakeTimers();
  asked = 0;
  answer = async () => [];
  check = new DependencyCheck(() => {
    asked += 1;
    return answer();
  });
});

afterEach(() => vi.useRealTimers());

const silence = () => new Promise(() => undefined);
const refusal = async () => {
  throw new Error('connection refused');
};
/** What a check says once it has waited as long as it waits. */
async function stateInTime(): Promise<string> {
  const state = check.state();
  await vi.advanceTimersByTimeAsync(2_000);
  return state;
}

it('shares one question between those who ask at the same time', async () => {
  let respond: (rows: unknown[]) => void = () => undefined;
  answer = () => new Promise((resolve) => (respond = resolve));
  const states = [check.state(), check.state(), check.state()];
  respond([]);
  expect(await Promise.all(states)).toEqual(['up', 'up', 'up']);
  expect(asked).toBe(1);
});

it('takes an answer that is late for a busy one, for ten seconds after the last', async () => {
  expect(await check.state()).toBe('up');
  answer = silence;
  const states: string[] = [];
  for (let at_s = 2; at_s <= 12; at_s += 2) states.push(await stateInTime());
  expect(states).toEqual(['up', 'up', 'up', 'up', 'down', 'down']);
});

it.each([
  'timeout exceeded when trying to connect',
  'Connection terminated due to connection timeout',
  'canceling statement due to statement timeout',
])('takes "%s" for late', async (message) => {
  expect(await check.state()).toBe('up');
  answer = async () => {
    throw Object.assign(new Error(message), message.startsWith('canceling') ? { code: '57014' } : {});
  };
  expect(await check.state()).toBe('up');
  await vi.advanceTimersByTimeAsync(10_000);
  expect(await check.state()).toBe('down');
});

it('takes a refusal for none at once, and what is late after it as well', async () => {
  expect(await check.state()).toBe('up');
  answer = refusal;
  expect(await check.state()).toBe('down');
  answer = silence;
  expect(await stateInTime()).toBe('down');
});

it('asks another question where one is lost', async () => {
  answer = silence;
  expect(await stateInTime()).toBe('down'); // never seen up
  answer = async () => [];
  expect(await stateInTime()).toBe('down'); // the lost one is still waited for
  await vi.advanceTimersByTimeAsync(6_000);
  expect(await check.state()).toBe('up');
});
