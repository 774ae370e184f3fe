import assert from 'node:assert/strict';
import { KvPages } from '#serving/kv/kv-pages.js';
import { type Schedulable, type ScheduleLimits, schedule } from '#serving/loop/scheduler.js';
import { ServedTokens } from '#serving/loop/served-tokens.js';
import { WaitingQueues } from '#serving/loop/waiting-queues.js';
import type { AdapterState } from '#serving/residency/adapter-demand.js';

/** A request as far as the scheduler knows it. */
export class Simulated implements Schedulable {
  computedTokens = 0;
  generated = 0;
  charged = 0;
  paused = false;
  lastStep = 0;
  readonly pages: number[] = [];
  fairnessWeight = 1;
  adapterState: AdapterState = 'ready';
  waitsForRoom = false;
  passes = 0;
  endStep: number | undefined;
  firstStep: number | undefined;
  preemptions = 0;
  enteredCharged = 0;
  turnSteps = 0;

  constructor(
    readonly id: number,
    readonly fairnessKey: string,
    readonly promptTokens: number,
    readonly maxTokens: number,
  ) {}

  get totalTokens(): number {
    return this.promptTokens + this.generated;
  }
  get heldPages(): number {
    return this.pages.length;
  }
  get inTurn(): boolean {
    const patience = 4 * 2 ** Math.min(this.preemptions, 10);
    return this.charged - this.enteredCharged < 16 && this.turnSteps < patience;
  }
  get ownPages(): number {
    return this.pages.length;
  }
}

/** Runs the scheduler against real pages and an arithmetic of tokens, and checks every decision. */
export class Simulation {
  readonly running: Simulated[] = [];
  readonly waiting = new WaitingQueues<Simulated>();
  readonly served = new ServedTokens();
  readonly pages: KvPages;
  step = 0;
  stalledSteps = 0;
  /** What each step takes at least, in rows. */
  overheadRows: number | undefined;
  readonly #computed = new Map<string, number>();

  constructor(
    readonly limits: ScheduleLimits,
    pages: number,
  ) {
    this.pages = new KvPages(pages, limits.pageTokens);
  }

  tokensOf(key: string): number {
    return this.#computed.get(key) ?? 0;
  }

  add(request: Simulated): Simulated {
    this.served.enter(request.fairnessKey);
    this.waiting.add(request);
    return request;
  }

  decide() {
    return schedule({
      running: this.running,
      waiting: this.waiting.byKey,
      served: (key) => this.served.of(key),
      freePages: this.pages.freePages,
      limits: this.limits,
      reuse: () => ({ tokens: 0, heldPages: 0, pinnedPages: 0, nextPage: undefined }),
      isComputed: () => false,
      stalledSteps: this.stalledSteps,
      times:
        this.overheadRows === undefined ? undefined : { row_ms: 0.1, overhead_ms: this.overheadRows / 10 },
    });
  }

  /** One step; returns the tokens granted. */
  advance(): number {
    this.step++;
    const { grants, admitted, preempted } = this.decide();
    this.stalledSteps = admitted.length > 0 || this.waiting.size === 0 ? 0 : this.stalledSteps + 1;
    for (const victim of preempted) {
      this.running.splice(this.running.indexOf(victim), 1);
      this.pages.release(victim.pages);
      victim.computedTokens = 0;
      victim.preemptions++;
      this.waiting.add(victim);
    }
    for (const request of admitted) {
      assert.ok(this.waiting.remove(request));
      assert.ok(!preempted.has(request));
      request.enteredCharged = request.charged;
      request.turnSteps = 0;
      this.running.push(request);
    }
    assert.ok(this.running.length <= this.limits.sequences);
    assert.equal(new Set(grants.map((grant) => grant.request)).size, grants.length);
    const total = grants.reduce((sum, grant) => sum + grant.tokens, 0);
    assert.ok(total <= this.limits.stepTokens);
    for (const { request, tokens } of grants) {
      assert.ok(tokens > 0);
      assert.ok(this.running.includes(request) && !request.paused);
      assert.ok(request.computedTokens + tokens <= request.totalTokens);
      this.pages.grow(request.pages, request.computedTokens + tokens); // throws when there are too few
    }
    for (const { request, tokens } of grants) this.#apply(request, tokens);
    return total;
  }

  #apply(request: Simulated, tokens: number): void {
    request.lastStep = this.step;
    request.turnSteps++;
    request.computedTokens += tokens;
    const fresh = Math.max(0, request.computedTokens - request.charged);
    request.charged += fresh;
    this.served.charge(request.fairnessKey, fresh / request.fairnessWeight);
    this.#computed.set(request.fairnessKey, this.tokensOf(request.fairnessKey) + fresh);
    if (request.computedTokens < request.totalTokens) return;
    request.generated++;
    request.firstStep ??= this.step;
    if (request.generated < request.maxTokens) return;
    request.endStep = this.step;
    this.running.splice(this.running.indexOf(request), 1);
    this.pages.release(request.pages);
    this.served.leave(request.fairnessKey);
  }
}
