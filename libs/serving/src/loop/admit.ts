import { pagesFor } from '../kv/kv-pages.js';
import type { FairShares } from './fair-shares.js';
import { newPages, type PageClaim, preemptFor } from './page-claim.js';
import type { Schedulable, ScheduleInput } from './scheduler.js';
import { chunkOf } from './step-budget.js';
import { WaitingOrder } from './waiting-order.js';

export interface Entry<R> {
  readonly admitted: R[];
  readonly passed: Map<R, number>;
}

export interface Admission<R extends Schedulable> {
  readonly input: ScheduleInput<R>;
  readonly claim: PageClaim<R>;
  readonly shares: FairShares<R> | undefined;
  readonly budgetTokens: number;
}

/**
 * Moves waiting requests in while slots, budget and pages last, and adds their grants to the claim. One enters only when
 * all of its known tokens and the next fit beside what the running ones still need, so that it is not thrown out at once.
 */
export function admit<R extends Schedulable>(admission: Admission<R>, entry: Entry<R>): void {
  const { input, claim, shares } = admission;
  const { limits, waiting } = input;
  if (waiting.size === 0 || admission.budgetTokens <= 0) return;
  if (shares === undefined && input.running.length >= limits.sequences) return;
  const room = new Room(admission);
  const order = new WaitingOrder(waiting, input.served, (key) => shares?.fillOf(key) ?? 0);
  const claimed = new Set<string>();
  let slotless = 0;
  const blocked = new Map<R, number>();
  for (let request = order.next(); request !== undefined; request = order.next()) {
    if (request.adapterState !== 'ready') {
      if (request.waitsForRoom) blocked.set(request, request.passes);
      continue;
    }
    const reuse = input.reuse(request);
    // Another one computes what this one needs next: a few steps later it is there to be shared.
    if (reuse.nextPage !== undefined && (claimed.has(reuse.nextPage) || input.isComputed(reuse.nextPage)))
      continue;
    if (!mayPass(blocked, limits.passes)) break;
    // A request alone in the cache always fits: admission to the engine has checked its length.
    const need = room.needAll(request) + reuse.pinnedPages;
    const made = room.make(request, { need, sharedPages: reuse.heldPages });
    if (made === 'no slot' && ++slotless < MOST_SLOTLESS_KEYS) {
      order.dropKey();
      continue;
    }
    if (made !== 'made') break;
    for (const [other, passes] of blocked) {
      blocked.set(other, passes + 1);
      entry.passed.set(other, passes + 1);
    }
    const wanted = request.totalTokens - reuse.tokens;
    const tokens = Math.min(room.budgetTokens, wanted, chunkOf(request));
    order.charge(wanted / request.fairnessWeight);
    if (reuse.nextPage !== undefined) claimed.add(reuse.nextPage);
    entry.admitted.push(request);
    claim.grants.push({ request, tokens });
    shares?.enter(request);
    room.budgetTokens -= tokens;
    if (room.budgetTokens === 0 || (room.slots === 0 && shares === undefined)) break;
  }
}

/** Keys that are asked in vain, in one step, whether others have to give them a slot. */
const MOST_SLOTLESS_KEYS = 8;

interface RoomWanted {
  readonly need: number;
  /** Pages of them that others hold already. */
  readonly sharedPages: number;
}

/** Slots, pages and tokens that a step still has for those who enter, and what others give up for them. */
class Room<R extends Schedulable> {
  slots: number;
  budgetTokens: number;
  /** Free pages that the running requests do not need for the tokens that they have. */
  #sparePages: number;
  readonly #granted: ReadonlyMap<R, number>;

  constructor(private readonly admission: Admission<R>) {
    const { input, claim } = admission;
    this.slots = input.limits.sequences - input.running.length;
    this.budgetTokens = admission.budgetTokens;
    this.#granted = new Map(claim.grants.map((grant) => [grant.request, grant.tokens]));
    this.#sparePages = claim.freePages;
    for (const request of input.running) this.#sparePages -= this.#reserved(request);
  }

  needAll(request: R): number {
    return pagesFor(request.totalTokens + 1, this.admission.input.limits.pageTokens);
  }

  /** Takes a slot and pages for the request, from others where it has to; from nobody unless it gets all. */
  make(request: R, { need, sharedPages }: RoomWanted): 'made' | 'no slot' | 'no pages' {
    const { shares, claim } = this.admission;
    this.#takeFromPaused(need - sharedPages);
    const givers = new Set<R>();
    const gives = (other: R): boolean => givers.has(other) || claim.preempted.has(other);
    if (this.slots === 0) {
      const giver = shares?.slotFor(request, gives);
      if (giver === undefined) return 'no slot';
      givers.add(giver);
    }
    // What it shares with a request that gives way is idle afterwards, so it costs a free page.
    let lacks = need - (givers.size > 0 ? 0 : sharedPages);
    while (lacks > this.#spareWith(givers)) {
      const giver = shares?.pagesFor(request, need, gives);
      if (giver === undefined) return 'no pages';
      givers.add(giver);
      lacks = need;
    }
    for (const giver of givers) this.#remove(giver);
    this.slots -= 1;
    this.#sparePages -= lacks;
    return 'made';
  }

  #takeFromPaused(need: number): void {
    const { claim } = this.admission;
    if (need <= this.#sparePages) return;
    const before = claim.freePages;
    const known = new Set(claim.preempted);
    preemptFor(need - this.#sparePages + before, this.admission, (victim) => victim.paused);
    this.#sparePages += claim.freePages - before;
    for (const victim of claim.preempted) if (!known.has(victim)) this.slots += 1;
  }

  #spareWith(givers: ReadonlySet<R>): number {
    let pages = this.#sparePages;
    for (const giver of givers) pages += this.#gain(giver);
    return pages;
  }

  /** Pages that become spare when it gives way: its own, those of its grant, and those kept for it. */
  #gain(request: R): number {
    return request.ownPages + this.#taken(request) + this.#reserved(request);
  }

  #taken(request: R): number {
    return newPages(request, this.#granted.get(request) ?? 0, this.admission.input.limits.pageTokens);
  }

  #reserved(request: R): number {
    if (request.paused || this.admission.claim.preempted.has(request)) return 0;
    return Math.max(0, this.needAll(request) - request.heldPages - this.#taken(request));
  }

  #remove(request: R): void {
    const { claim, shares } = this.admission;
    this.#sparePages += this.#gain(request);
    const at = claim.grants.findIndex((grant) => grant.request === request);
    if (at >= 0) {
      this.budgetTokens += claim.grants[at]?.tokens ?? 0;
      claim.freePages += this.#taken(request);
      claim.grants.splice(at, 1);
    }
    claim.freePages += request.ownPages;
    claim.preempted.add(request);
    shares?.leave(request);
    this.slots += 1;
  }
}

function mayPass(blocked: ReadonlyMap<unknown, number>, mostPasses: number): boolean {
  for (const passes of blocked.values()) {
    if (passes >= mostPasses) return false;
  }
  return true;
}
