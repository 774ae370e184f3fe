import { expect, it } from 'vitest';
import { OutageClock } from './outage-clock.js';

it('guesses that an outage takes as long as the last one did', () => {
  let now_s = 0;
  const clock = new OutageClock(() => now_s * 1000);
  clock.note(false);
  expect(clock.retryAfter_s).toBe(10); // nothing is known yet
  now_s = 30;
  clock.note(true);
  now_s = 100;
  clock.note(false);
  clock.note(false);
  expect(clock.retryAfter_s).toBe(30);
  now_s = 120;
  expect(clock.retryAfter_s).toBe(10);
  now_s = 131; // longer than the last one: it may take as long again
  expect(clock.retryAfter_s).toBe(29);
  now_s = 900;
  clock.note(true);
  clock.note(false);
  expect(clock.retryAfter_s).toBe(60); // nobody is told to wait for longer
});
