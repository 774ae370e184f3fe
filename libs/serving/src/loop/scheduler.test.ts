import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Simulated, Simulation } from '../../../../test/support/schedule-simulation.js';
import { pagesFor } from '../kv/kv-pages.js';
import type { ScheduleLimits } from './scheduler.js';

const LIMITS: ScheduleLimits = { stepTokens: 32, sequences: 4, pageTokens: 4, passes: 8 };

describe('the scheduler', () => {
  it('computes a long prompt in chunks of the budget, then one token a step', () => {
    const simulation = new Simulation(LIMITS, 100);
    const request = simulation.add(new Simulated(0, 'a', 70, 3));
    expect([1, 2, 3, 4, 5].map(() => simulation.advance())).toEqual([32, 32, 6, 1, 1]);
    expect(request.endStep).toBe(5);
  });

  it('keeps decodes going while a long prompt is computed', () => {
    const simulation = new Simulation(LIMITS, 200);
    const chat = simulation.add(new Simulated(0, 'a', 4, 20));
    simulation.advance();
    simulation.add(new Simulated(1, 'b', 200, 1));
    for (let i = 0; i < 5; i++) {
      const before = chat.generated;
      expect(simulation.advance()).toBe(32);
      expect(chat.generated).toBe(before + 1);
    }
  });

  it('leaves prefills a share of the step when decodes alone could fill it', () => {
    const simulation = new Simulation({ ...LIMITS, stepTokens: 16, sequences: 40 }, 1000);
    const decodes = Array.from({ length: 32 }, (_, i) => simulation.add(new Simulated(i, 'a', 1, 500)));
    while (decodes.some((request) => request.generated === 0)) simulation.advance();
    const prompt = simulation.add(new Simulated(99, 'b', 40, 1));
    const before = decodes.map((request) => request.generated);
    while (prompt.endStep === undefined) simulation.advance();
    expect(simulation.step).toBeLessThan(30);
    const gained = decodes.map((request, i) => request.generated - (before[i] ?? 0));
    expect(Math.max(...gained) - Math.min(...gained)).toBeLessThanOrEqual(2); // the decodes take turns
  });

  it('lets a tenant with one request pass a tenant with a long queue', () => {
    const simulation = new Simulation(LIMITS, 1000);
    for (let i = 0; i < 50; i++) simulation.add(new Simulated(i, 'greedy', 16, 16));
    for (let i = 0; i < 10; i++) simulation.advance();
    const modest = simulation.add(new Simulated(100, 'modest', 16, 4));
    while (modest.endStep === undefined) simulation.advance();
    expect(simulation.waiting.size).toBeGreaterThan(30);
  });

  it('takes pages from the youngest request, which is computed again later and loses no token', () => {
    const simulation = new Simulation(LIMITS, 10);
    const old = simulation.add(new Simulated(0, 'a', 12, 20));
    const young = simulation.add(new Simulated(1, 'a', 12, 20));
    while (old.endStep === undefined || young.endStep === undefined) simulation.advance();
    expect(old.preemptions).toBe(0);
    expect(young.preemptions).toBeGreaterThan(0);
    expect(young.generated).toBe(20);
    expect(simulation.pages.freePages).toBe(10);
  });

  it('gives a paused request nothing and takes its pages first', () => {
    const simulation = new Simulation(LIMITS, 10);
    const slow = simulation.add(new Simulated(0, 'a', 20, 4));
    simulation.advance();
    slow.paused = true;
    const other = simulation.add(new Simulated(1, 'a', 24, 2));
    while (other.endStep === undefined) simulation.advance();
    expect(slow.preemptions).toBe(1);
    expect(simulation.advance()).toBe(0); // it waits, although there is room, until it is read again
    slow.paused = false;
    while (slow.endStep === undefined) simulation.advance();
    expect(slow.generated).toBe(4);
  });

  it('does not let small requests pass a large one that waits for pages', () => {
    const simulation = new Simulation(LIMITS, 10);
    simulation.add(new Simulated(0, 'a', 20, 4));
    simulation.advance();
    const large = simulation.add(new Simulated(1, 'a', 36, 2));
    const small = Array.from({ length: 10 }, (_, i) => simulation.add(new Simulated(2 + i, 'a', 4, 2)));
    while (large.endStep === undefined) simulation.advance();
    expect(
      small.every((request) => request.endStep === undefined || request.endStep >= (large.endStep ?? 0)),
    ).toBe(true);
  });

  it('serves a key of twice the weight twice the tokens', () => {
    const simulation = new Simulation(LIMITS, 400);
    let id = 0;
    for (let step = 0; step < 600; step++) {
      for (const [key, fairnessWeight] of [
        ['a', 1],
        ['b', 2],
      ] as const) {
        const waiting = [...simulation.waiting].filter((request) => request.fairnessKey === key).length;
        for (let n = waiting; n < 6; n++) {
          simulation.add(Object.assign(new Simulated(id++, key, 10, 6), { fairnessWeight }));
        }
      }
      simulation.advance();
    }
    expect(simulation.tokensOf('b') / simulation.tokensOf('a')).toBeCloseTo(2, 0.5);
  });

  it('grants nothing when nothing waits', () => {
    expect(new Simulation(LIMITS, 10).decide()).toEqual({
      grants: [],
      admitted: [],
      preempted: new Set(),
      passed: new Map(),
    });
  });
});

const arrival = fc.record({
  gapSteps: fc.integer({ min: 0, max: 3 }),
  key: fc.constantFrom('a', 'b', 'c'),
  promptTokens: fc.integer({ min: 1, max: 60 }),
  maxTokens: fc.integer({ min: 1, max: 30 }),
  /** Steps that its reader sleeps after it came. */
  sleeps: fc.constantFrom(0, 0, 0, 2, 9),
});
const limits = fc.record({
  stepTokens: fc.integer({ min: 16, max: 48 }),
  sequences: fc.integer({ min: 1, max: 8 }),
  pageTokens: fc.constantFrom(1, 4, 16),
  passes: fc.constant(8),
});

type Arrival = typeof arrival extends fc.Arbitrary<infer A> ? A : never;
/** While pages are claimed, another key than before holds more than its share. */
const KEY_THAT_STOPS_HOLDING_MORE: [Arrival[], ScheduleLimits] = [
  (
    [
      [1, 'a', 28, 5, 0],
      [0, 'a', 23, 28, 0],
      [3, 'c', 38, 12, 2],
      [0, 'a', 32, 1, 0],
      [1, 'c', 54, 27, 0],
      [0, 'b', 46, 23, 0],
      [0, 'b', 23, 11, 0],
      [0, 'b', 1, 6, 0],
    ] as const
  ).map(([gapSteps, key, promptTokens, maxTokens, sleeps]) => ({
    gapSteps,
    key,
    promptTokens,
    maxTokens,
    sleeps,
  })),
  { stepTokens: 29, sequences: 3, pageTokens: 16, passes: 8 },
];

describe('the scheduler under random load', () => {
  it('keeps its limits, always advances, serves everybody, and gives every page back', () => {
    fc.assert(
      fc.property(fc.array(arrival, { minLength: 1, maxLength: 40 }), limits, (arrivals, given) => {
        const largest = Math.max(
          ...arrivals.map((a) => pagesFor(a.promptTokens + a.maxTokens, given.pageTokens)),
        );
        const simulation = new Simulation(given, largest + 1);
        const requests = arrivals.map((a, id) => new Simulated(id, a.key, a.promptTokens, a.maxTokens));
        const workTokens = arrivals.reduce((sum, a) => sum + a.promptTokens + a.maxTokens, 0);
        for (const [i, request] of requests.entries()) {
          simulation.add(request);
          for (let gap = arrivals[i]?.gapSteps ?? 0; gap > 0; gap--) simulation.advance();
          for (const sleeper of requests.slice(0, i)) {
            sleeper.paused = i - sleeper.id < (arrivals[sleeper.id]?.sleeps ?? 0);
          }
        }
        for (const request of requests) request.paused = false;
        // Each step computes something, and recomputation is bounded: nobody waits for ever.
        const boundSteps = workTokens * 10 + 100;
        while (requests.some((request) => request.endStep === undefined)) {
          const before = simulation.running.length + simulation.waiting.size;
          expect(
            simulation.advance() > 0 || simulation.running.length + simulation.waiting.size < before,
          ).toBe(true);
          expect(simulation.step).toBeLessThan(boundSteps);
        }
        expect(requests.map((request) => request.generated)).toEqual(arrivals.map((a) => a.maxTokens));
        expect(simulation.pages.freePages).toBe(largest + 1);
      }),
      { numRuns: 150, examples: [KEY_THAT_STOPS_HOLDING_MORE] },
    );
  });

  it('never takes pages from the oldest running request of the only key', () => {
    fc.assert(
      fc.property(fc.array(arrival, { minLength: 2, maxLength: 20 }), (arrivals) => {
        const largest = Math.max(...arrivals.map((a) => pagesFor(a.promptTokens + a.maxTokens, 4)));
        const simulation = new Simulation({ ...LIMITS, stepTokens: 24, sequences: 8 }, largest + 2);
        const requests = arrivals.map((a, id) =>
          simulation.add(new Simulated(id, 'a', a.promptTokens, a.maxTokens)),
        );
        while (requests.some((request) => request.endStep === undefined)) {
          const oldest = Math.min(...simulation.running.map((request) => request.id));
          for (const victim of simulation.decide().preempted) expect(victim.id).not.toBe(oldest);
          simulation.advance();
        }
      }),
      { numRuns: 60 },
    );
  });

  it('bounds how far a busy tenant can get ahead of one that always has work', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 40 }), (promptA, promptB) => {
        const simulation = new Simulation(LIMITS, 200);
        let id = 0;
        const refill = (): void => {
          const keys = [...simulation.waiting].map((request) => request.fairnessKey);
          const missing = (key: string, most: number): number =>
            most - keys.filter((other) => other === key).length;
          for (let n = missing('a', 20); n > 0; n--) simulation.add(new Simulated(id++, 'a', promptA, 8));
          for (let n = missing('b', 4); n > 0; n--) simulation.add(new Simulated(id++, 'b', promptB, 8));
        };
        for (let step = 0; step < 200; step++) {
          refill();
          simulation.advance();
        }
        // As much as the requests in flight can hold, not a share of all that was served.
        const apart = Math.abs(simulation.served.of('a') - simulation.served.of('b'));
        expect(apart).toBeLessThan(2 * 4 * (40 + 8));
      }),
      { numRuns: 30 },
    );
  });
});
