import { expect, it } from 'vitest';
import { AnswerAllowance, MOST_KEPT_IN_A_DAY } from './answer-allowance.js';

const MIB = 2 ** 20;
const HOUR_MS = 3_600_000;

it('keeps an owner so much in a day, and another no less for it', () => {
  const allowance = new AnswerAllowance();
  const kept = Array.from({ length: 300 }, () => allowance.spend('acme', MIB, 0)).filter(Boolean).length;
  expect(kept).toBe(MOST_KEPT_IN_A_DAY / MIB);
  expect(allowance.spend('globex', MIB, 0)).toBe(true);
  expect(allowance.spend('acme', 4_096, 0)).toBe(true); // such as a key that is shown once
});

it('gives it back over the day', () => {
  const allowance = new AnswerAllowance();
  while (allowance.spend('acme', MIB, 0));
  expect(allowance.spend('acme', MIB, HOUR_MS / 60)).toBe(false);
  const kept = Array.from({ length: 100 }, () => allowance.spend('acme', MIB, 6 * HOUR_MS)).filter(Boolean);
  expect(kept.length).toBe(MOST_KEPT_IN_A_DAY / MIB / 4);
});
