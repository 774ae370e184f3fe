import { IncomingMessage } from 'node:http';
import { Socket } from 'node:net';
import { afterEach, expect, it, vi } from 'vitest';
import { IncomingBodies } from './incoming-bodies.js';

afterEach(() => vi.useRealTimers());

const PACE = { idle_ms: 1_000, minRate: 1, grace_ms: 1_000 };

/** A request of which bytes wait that nobody reads. */
function request(): IncomingMessage {
  const message = new IncomingMessage(new Socket());
  message.push('x');
  return message;
}

it('does not watch a request whose client went before, and stops when none is left', () => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
  const bodies = new IncomingBodies(PACE);
  const gone = request();
  gone.destroy();
  bodies.watch(gone, () => undefined);
  expect(vi.getTimerCount()).toBe(0);

  const going = request();
  bodies.watch(going, () => undefined);
  expect(vi.getTimerCount()).toBe(1);
  going.destroy(); // its event comes later, the check before
  vi.advanceTimersByTime(250);
  expect(vi.getTimerCount()).toBe(0);
});
