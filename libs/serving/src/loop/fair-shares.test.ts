import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Simulated, Simulation } from '../../../../test/support/schedule-simulation.js';

const LIMITS = { stepTokens: 512, sequences: 64, pageTokens: 16, passes: 8 };
/** Rows that a step is worth before its first: that of a memory-bound decode. */
const OVERHEAD_ROWS = 64;

function simulate(limits: Partial<typeof LIMITS> = {}, pages = 4096): Simulation {
  const simulation = new Simulation({ ...LIMITS, ...limits }, pages);
  simulation.overheadRows = OVERHEAD_ROWS;
  return simulation;
}

let nextId = 0;
const ask = (
  simulation: Simulation,
  key: string,
  prompt: number,
  max: number,
  fairnessWeight = 1,
): Simulated => simulation.add(Object.assign(new Simulated(nextId++, key, prompt, max), { fairnessWeight }));
const askMany = (simulation: Simulation, count: number, key: string, prompt: number, max: number) =>
  Array.from({ length: count }, () => ask(simulation, key, prompt, max));

function stepsToFirst(simulation: Simulation, request: Simulated): number {
  const begin = simulation.step;
  while (request.firstStep === undefined) simulation.advance();
  return request.firstStep - begin;
}

describe("a newcomer's first token", () => {
  it('comes in the next step while 64 long requests of another tenant hold all slots and more wait', () => {
    const simulation = simulate();
    const theirs = askMany(simulation, 200, 'greedy', 100, 1_000);
    for (let i = 0; i < 100; i++) simulation.advance();
    expect(simulation.running).toHaveLength(64);
    expect(stepsToFirst(simulation, ask(simulation, 'newcomer', 50, 1))).toBe(1);
    expect(theirs.reduce((sum, { preemptions }) => sum + preemptions, 0)).toBe(1);
    for (let i = 0; i < 2; i++) simulation.advance();
    expect(simulation.running).toHaveLength(64); // the slot went back
  });

  it('comes at once just after the others came in', () => {
    const simulation = simulate();
    askMany(simulation, 64, 'greedy', 8, 1_000);
    simulation.advance();
    expect(stepsToFirst(simulation, ask(simulation, 'newcomer', 50, 1))).toBe(1);
  });

  it('comes while streams of another tenant that only compute prompts fill every step', () => {
    const simulation = simulate();
    askMany(simulation, 64, 'greedy', 20_000, 1);
    for (let i = 0; i < 20; i++) simulation.advance();
    expect(stepsToFirst(simulation, ask(simulation, 'newcomer', 200, 1))).toBeLessThanOrEqual(2);
  });

  it('comes while prompts of another tenant will need every page, though they do not hold them yet', () => {
    const simulation = simulate({}, 4_096);
    askMany(simulation, 64, 'greedy', 1_000, 10);
    for (let i = 0; i < 5; i++) simulation.advance();
    expect(stepsToFirst(simulation, ask(simulation, 'newcomer', 200, 1))).toBeLessThanOrEqual(6);
  });

  it('comes while one request of another tenant holds nearly all pages', () => {
    const simulation = simulate({}, 100);
    const giant = ask(simulation, 'greedy', 1_000, 590);
    for (let i = 0; i < 500; i++) simulation.advance();
    expect(stepsToFirst(simulation, ask(simulation, 'newcomer', 600, 5))).toBeLessThanOrEqual(4);
    while (giant.endStep === undefined) simulation.advance();
    expect(giant.generated).toBe(590);
  });

  it('comes in its turn where there are more tenants than slots', () => {
    const simulation = simulate({ sequences: 8 });
    for (let tenant = 0; tenant < 8; tenant++) ask(simulation, `t${tenant}`, 10, 5_000);
    for (let i = 0; i < 300; i++) simulation.advance();
    expect(stepsToFirst(simulation, ask(simulation, 'newcomer', 50, 1))).toBeLessThan(80);
  });
});

describe('shares', () => {
  it('are taken by a tenant that wants them, kept, and given back when it has ended', () => {
    const simulation = simulate();
    const greedy = askMany(simulation, 200, 'greedy', 20, 600);
    for (let i = 0; i < 50; i++) simulation.advance();
    const modest = askMany(simulation, 40, 'modest', 20, 200);
    for (let i = 0; i < 20; i++) simulation.advance();
    const held = (key: string) => simulation.running.filter(({ fairnessKey }) => fairnessKey === key).length;
    expect(held('modest')).toBeGreaterThanOrEqual(24); // what it was served for its prompts counts, too
    expect(held('greedy') + held('modest')).toBe(64);
    while (modest.some(({ endStep }) => endStep === undefined)) simulation.advance();
    const preemptions = [...greedy, ...modest].reduce((sum, each) => sum + each.preemptions, 0);
    expect(preemptions).toBeLessThanOrEqual(40);
    for (let i = 0; i < 5; i++) simulation.advance();
    expect(held('greedy')).toBe(64);
  });

  it('follow weights', () => {
    const simulation = simulate({ sequences: 30 });
    for (let i = 0; i < 60; i++) {
      ask(simulation, 'one', 10, 2_000);
      ask(simulation, 'two', 10, 2_000, 2);
    }
    for (let i = 0; i < 50; i++) simulation.advance();
    const two = simulation.running.filter(({ fairnessKey }) => fairnessKey === 'two').length;
    expect([two, simulation.running.length]).toEqual([20, 30]);
  });

  it('leave a tenant that decodes half of the time beside four prompts of another', () => {
    const simulation = simulate();
    const chat = ask(simulation, 'chat', 10, 1_000);
    simulation.advance();
    askMany(simulation, 4, 'prompts', 10_000, 1);
    for (let i = 0; i < 50; i++) {
      const before = chat.generated;
      const rows = simulation.advance();
      expect(chat.generated).toBe(before + 1);
      // A step of the chat alone takes as long as its overhead and one row.
      expect(OVERHEAD_ROWS + rows).toBeLessThanOrEqual(2 * (OVERHEAD_ROWS + 1));
      expect(rows).toBeGreaterThan(32);
    }
  });

  it('hold a step to a time, so that nobody who comes meanwhile waits for long', () => {
    const simulation = simulate({ stepTokens: 16_384 });
    ask(simulation, 'alone', 50_000, 1);
    simulation.advance();
    expect(simulation.advance()).toBe(4_000 - OVERHEAD_ROWS); // 400 ms at 0.1 ms a row
  });

  it('leave everybody his tokens whatever is taken from whom, and let everybody end', () => {
    const arrival = fc.record({
      gapSteps: fc.integer({ min: 0, max: 12 }),
      key: fc.constantFrom('a', 'b', 'c', 'd', 'e'),
      promptTokens: fc.integer({ min: 1, max: 120 }),
      maxTokens: fc.integer({ min: 1, max: 60 }),
    });
    fc.assert(
      fc.property(
        fc.array(arrival, { minLength: 2, maxLength: 30 }),
        fc.integer({ min: 1, max: 4 }),
        fc.integer({ min: 1, max: 8 }),
        (arrivals, sequences, sparePages) => {
          const largest = Math.max(...arrivals.map((a) => Math.ceil((a.promptTokens + a.maxTokens + 1) / 4)));
          const simulation = simulate({ stepTokens: 24, sequences, pageTokens: 4 }, largest + sparePages);
          const requests: Simulated[] = [];
          for (const { key, promptTokens, maxTokens, gapSteps } of arrivals) {
            requests.push(ask(simulation, key, promptTokens, maxTokens));
            for (let gap = gapSteps; gap > 0; gap--) simulation.advance();
          }
          const work = arrivals.reduce((sum, a) => sum + a.promptTokens + a.maxTokens, 0);
          while (requests.some(({ endStep }) => endStep === undefined)) {
            simulation.advance();
            expect(simulation.step).toBeLessThan(work * 20 + 500);
          }
          expect(simulation.pages.freePages).toBe(largest + sparePages);
        },
      ),
      { numRuns: 150 },
    );
  });
});
