import { describe, expect, it } from 'vitest';
import { StepCost } from './step-cost.js';

describe('the cost of steps', () => {
  it('is told apart into what each step takes and what each row takes', () => {
    const cost = new StepCost();
    for (let i = 0; i < 300; i++) cost.note(1 + (i % 7) * 40, 20 + (1 + (i % 7) * 40) * 0.5);
    expect(cost.times?.overhead_ms).toBeCloseTo(20, 3);
    expect(cost.times?.row_ms).toBeCloseTo(0.5, 5);
  });

  it('takes all of a step for its rows while every step has as many', () => {
    const cost = new StepCost();
    expect(cost.times).toBeUndefined();
    for (let i = 0; i < 10; i++) cost.note(4, 20);
    expect(cost.times?.row_ms).toBeCloseTo(5, 9);
    expect(cost.times?.overhead_ms).toBeCloseTo(0, 9);
  });

  it('follows a change, and makes nothing negative of noise', () => {
    const cost = new StepCost();
    for (let i = 0; i < 200; i++) cost.note(10 + (i % 5), 100 - (i % 5) * 10);
    expect(cost.times?.row_ms).toBeGreaterThan(0);
    expect(cost.times?.overhead_ms).toBeGreaterThanOrEqual(0);
    for (let i = 0; i < 1000; i++) cost.note(1 + (i % 3) * 100, 5 + (1 + (i % 3) * 100) * 0.1);
    expect(cost.times?.row_ms).toBeCloseTo(0.1, 2);
  });
});
