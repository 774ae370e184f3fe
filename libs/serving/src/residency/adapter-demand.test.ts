import assert from 'node:assert/strict';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type AdapterState, claimAdapters } from './adapter-demand.js';
import { type Schedulable, schedule } from '../loop/scheduler.js';
import { WaitingOrder } from '../loop/waiting-order.js';
import { WaitingQueues } from '../loop/waiting-queues.js';

const PASSES = 8;
const LIMITS = { stepTokens: 64, sequences: 4, pageTokens: 4, passes: PASSES };

class Request implements Schedulable {
  readonly fairnessKey: string;
  readonly fairnessWeight = 1;
  readonly paused = false;
  readonly computedTokens = 0;
  readonly totalTokens = 1;
  readonly heldPages = 0;
  readonly ownPages = 0;
  readonly lastStep = 0;
  adapterState: AdapterState;
  waitsForRoom = false;
  passes = 0;
  mostPasses = 0;
  entered: number | undefined;
  stepsLeft: number;

  constructor(
    readonly id: number,
    readonly adapter: string | undefined,
    { steps, key = 'k' }: { steps: number; key?: string },
  ) {
    this.fairnessKey = key;
    this.adapterState = adapter === undefined ? 'ready' : 'absent';
    this.stepsLeft = steps;
  }
}

/** Adapters of one size in a pool of a few places; a load takes some steps. Closing and queueing as residency does it. */
class Pool {
  readonly #resident = new Map<string, { pins: number; readyAt: number; closed: boolean }>();
  readonly #asked = new Set<Request>();
  /** Due requests, in the order in which they asked. */
  readonly #queue: Request[] = [];
  loads = 0;
  step = 0;

  constructor(
    private readonly places: number,
    private readonly loadSteps: number,
  ) {}

  fits({ adapter }: Request): boolean {
    const there = this.#resident.get(adapter as string);
    if (there !== undefined) return !there.closed;
    if (this.#queue.length > 0) return false;
    return [...this.#resident.values()].filter((one) => one.pins > 0).length < this.places;
  }

  ask(request: Request, due: boolean): void {
    request.adapterState = 'loading';
    request.waitsForRoom = due;
    if (this.fits(request)) this.#bring(request);
    else {
      assert.ok(due);
      this.#queue.push(request);
    }
  }

  release(request: Request): void {
    const place = this.#resident.get(request.adapter as string);
    if (request.adapterState === 'ready' && place !== undefined) place.pins--;
    if (request.adapter !== undefined) request.adapterState = 'absent';
  }

  advance(): void {
    this.step++;
    const head = this.#queue[0];
    if (head !== undefined) {
      for (const place of this.#resident.values()) place.closed = false;
      const pinned = [...this.#resident.entries()].filter(([, one]) => one.pins > 0);
      if (this.#resident.has(head.adapter as string) || pinned.length < this.places) {
        this.#queue.shift();
        this.#bring(head);
      } else (pinned[0] as (typeof pinned)[number])[1].closed = true;
    }
    for (const request of this.#asked) {
      if ((this.#resident.get(request.adapter as string)?.readyAt ?? 0) > this.step) continue;
      this.#asked.delete(request);
      request.adapterState = 'ready';
      request.waitsForRoom = false;
      request.passes = 0;
    }
  }

  #bring(request: Request): void {
    const adapter = request.adapter as string;
    if (!this.#resident.has(adapter)) {
      if (this.#resident.size === this.places) {
        const idle = [...this.#resident].find(([, one]) => one.pins === 0);
        this.#resident.delete((idle as [string, unknown])[0]);
      }
      this.loads++;
      this.#resident.set(adapter, { pins: 0, readyAt: this.step + this.loadSteps, closed: false });
    }
    (this.#resident.get(adapter) as { pins: number }).pins++;
    this.#asked.add(request);
  }
}

class Simulation {
  readonly waiting = new WaitingQueues<Request>();
  readonly running: Request[] = [];
  readonly served = new Map<string, number>();
  entered = 0;

  constructor(readonly pool: Pool) {}

  advance(): void {
    const { pool, waiting, running } = this;
    const served = (key: string): number => this.served.get(key) ?? 0;
    pool.advance();
    const order = new WaitingOrder(waiting.byKey, served);
    const inTurn = function* (): Generator<Request> {
      for (let next = order.next(); next !== undefined; next = order.next()) {
        order.charge(1);
        yield next;
      }
    };
    claimAdapters(
      inTurn(),
      waiting,
      {
        fits: (request) => pool.fits(request),
        ask: (request, due) => pool.ask(request, due),
        pass: (request) => (request.waitsForRoom = true),
        giveBack: (request) => {
          pool.release(request);
          request.waitsForRoom = true;
        },
      },
      { loads: 8, passes: PASSES / 2, requests: 64 },
    );
    const { admitted, passed } = schedule({
      running,
      waiting: waiting.byKey,
      served,
      freePages: 1_000,
      limits: LIMITS,
      reuse: () => ({ tokens: 0, heldPages: 0, pinnedPages: 0, nextPage: undefined }),
      isComputed: () => false,
    });
    for (const [request, passes] of passed) {
      request.passes = passes;
      request.mostPasses = Math.max(request.mostPasses, passes);
    }
    for (const request of admitted) {
      assert.equal(request.adapterState, 'ready');
      waiting.remove(request);
      running.push(request);
      request.entered = this.entered++;
      this.served.set(request.fairnessKey, served(request.fairnessKey) + request.stepsLeft);
    }
    for (const request of running.slice()) {
      if (--request.stepsLeft > 0) continue;
      running.splice(running.indexOf(request), 1);
      pool.release(request);
    }
  }

  run(requests: readonly Request[]): void {
    for (const request of requests) this.waiting.add(request);
    for (let step = 0; this.waiting.size + this.running.length > 0; step++) {
      assert.ok(step < 50 * requests.length + 200, 'somebody waits for ever');
      this.advance();
    }
  }
}

describe('adapters for waiting requests', () => {
  it('runs requests of one adapter together while the pool is too small for all', () => {
    const pool = new Pool(1, 1);
    const requests = Array.from({ length: 16 }, (_, i) => new Request(i, i % 2 ? 'a' : 'b', { steps: 3 }));
    new Simulation(pool).run(requests);
    expect(pool.loads).toBeLessThanOrEqual(4); // in order of arrival it would be 16
  });

  it('lets the base model and resident adapters go on while another loads', () => {
    const pool = new Pool(2, 30);
    const simulation = new Simulation(pool);
    const slow = new Request(0, 'slow', { steps: 1 });
    const others = Array.from({ length: 20 }, (_, i) => new Request(i + 1, undefined, { steps: 1 }));
    simulation.run([slow, ...others]);
    expect(slow.entered).toBe(20);
    expect(slow.mostPasses).toBe(0); // reading is no reason to hold others up
  });

  it('brings in an adapter although requests for the resident one never end', () => {
    const pool = new Pool(1, 1);
    const simulation = new Simulation(pool);
    const rare = new Request(1, 'rare', { steps: 1 });
    simulation.waiting.add(new Request(0, 'hot', { steps: 2 }));
    simulation.waiting.add(rare);
    for (let id = 2; rare.entered === undefined; id++) {
      expect(id).toBeLessThan(100);
      simulation.waiting.add(new Request(id, 'hot', { steps: 5 }));
      simulation.advance();
    }
    expect(rare.mostPasses).toBeGreaterThan(0);
    expect(rare.mostPasses).toBeLessThanOrEqual(PASSES);
  });

  it('passes nobody more often than the bound, and ends everybody, whatever comes', () => {
    const request = fc.record({
      adapter: fc.option(fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f'), { nil: undefined, freq: 6 }),
      steps: fc.integer({ min: 1, max: 12 }),
      key: fc.constantFrom('x', 'y', 'z'),
    });
    const all = fc.array(request, { maxLength: 60 });
    fc.assert(
      fc.property(
        all,
        fc.integer({ min: 1, max: 3 }),
        fc.integer({ min: 0, max: 6 }),
        (given, places, load) => {
          const requests = given.map((one, id) => new Request(id, one.adapter, one));
          new Simulation(new Pool(places, load)).run(requests);
          expect(Math.max(0, ...requests.map((one) => one.mostPasses))).toBeLessThanOrEqual(PASSES);
        },
      ),
      { numRuns: 300 },
    );
  });
});
