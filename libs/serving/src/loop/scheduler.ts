import type { AdapterState } from '../residency/adapter-demand.js';
import { pagesFor } from '../kv/kv-pages.js';
import { type Waiting, WaitingOrder } from './waiting-order.js';

/*
 * What the next step computes, decided from plain data. There is no prefill phase and no decode phase: a request has
 * computed and total tokens, and a step grants it min(budget, total - computed).
 *
 * Why nobody starves:
 * - A decode (one token missing) waits at most until every other decode had its turn, since those served longest ago go
 *   first; prefills keep a share of every step, the least served tenant's first.
 * - Pages: the older request takes them from the younger. The oldest running one therefore always advances and ends
 *   (admission made sure that it fits alone), then the next is oldest.
 * - Admission: the least served tenant's oldest request is next and nobody passes it, so pages that become free reach it.
 *   Its tenant's counter stands still while it waits; the others' counters grow past it. Only while a running request
 *   computes a page that it needs too, or its adapter is not there, is it passed; the latter a bounded number of times
 *   (adapter-demand.ts).
 */

export interface Schedulable extends Waiting {
  /** Tokens whose keys and values are in the cache. */
  readonly computedTokens: number;
  /** Tokens that are known and have to be computed; the next one is sampled once all are. */
  readonly totalTokens: number;
  readonly heldPages: number;
  /** Those of them that become free when it loses its pages: nobody else holds them. */
  readonly ownPages: number;
  /** Its reader does not keep up: it gets no grant, and its pages are taken first. */
  readonly paused: boolean;
  /** Whether its adapter is there (adapter-demand.ts); only such a request enters. */
  readonly adapterState: AdapterState;
  readonly waitsForRoom: boolean;
  readonly passes: number;
  /** Number of the step that last granted it something. */
  readonly lastStep: number;
  /** Most tokens that one step computes of it; absent: as many as fit. */
  readonly chunkTokens?: number | undefined;
}

export interface ScheduleLimits {
  readonly stepTokens: number;
  readonly sequences: number;
  readonly pageTokens: number;
  /** Times that a request whose adapter finds no room may be passed in all. */
  readonly passes: number;
}

/** What a waiting request finds in the prefix cache. */
export interface Reuse {
  /** Tokens that need not be computed; fewer than the request has. */
  readonly tokens: number;
  /** Pages of them that others hold now, so they cost no free page. */
  readonly heldPages: number;
  /** Free pages that it takes for a moment beside its own. */
  readonly pinnedPages: number;
  /** Names the first full page that it would have to compute: requests with the same name would compute the same. */
  readonly nextPage: string | undefined;
}

export interface ScheduleInput<R extends Schedulable> {
  readonly running: readonly R[];
  /** By fairness key; each queue in order of arrival, none empty. */
  readonly waiting: ReadonlyMap<string, readonly R[]>;
  /** Tokens served to a fairness key so far. */
  readonly served: (fairnessKey: string) => number;
  readonly freePages: number;
  readonly limits: ScheduleLimits;
  readonly reuse: (waiting: R) => Reuse;
  /** Whether a running request is about to compute the page of that name. */
  readonly isComputed: (page: string) => boolean;
}

export interface Grant<R> {
  readonly request: R;
  readonly tokens: number;
}

export interface Schedule<R> {
  readonly grants: readonly Grant<R>[];
  /** From waiting to running; each has a grant. */
  readonly admitted: readonly R[];
  /** From running back to waiting: their pages go, their tokens stay and are computed again. */
  readonly preempted: ReadonlySet<R>;
  /** Waiting requests that others passed because their adapter finds no room, and how often by now. */
  readonly passed: ReadonlyMap<R, number>;
}

/** Share of a step that decodes leave to prefills when both want it all. */
const PREFILL_SHARE = 0.25;

export function schedule<R extends Schedulable>(input: ScheduleInput<R>): Schedule<R> {
  const wanted = grantBudget(input);
  const claim = claimPages(input, wanted);
  const spent = claim.grants.reduce((sum, grant) => sum + grant.tokens, 0);
  const entry: Entry<R> = { admitted: [], passed: new Map() };
  if (claim.preempted.size === 0) admit(input, claim, input.limits.stepTokens - spent, entry);
  return { grants: claim.grants, preempted: claim.preempted, ...entry };
}

const missing = (request: Schedulable): number => request.totalTokens - request.computedTokens;
const chunkOf = (request: Schedulable): number => request.chunkTokens ?? Number.POSITIVE_INFINITY;

/** Grants for the running requests, pages not yet considered. */
function grantBudget<R extends Schedulable>(input: ScheduleInput<R>): Grant<R>[] {
  const { running, waiting, served, limits } = input;
  const decodes: R[] = [];
  const prefills: R[] = [];
  // Whoever waits for a free place is a prefill too. (Should it not get its pages, its share of this step is lost.)
  let prefillTokens = waiting.size > 0 && running.length < limits.sequences ? limits.stepTokens : 0;
  for (const request of running) {
    const tokens = missing(request);
    if (request.paused || tokens <= 0) continue;
    if (tokens === 1) decodes.push(request);
    else {
      prefills.push(request);
      prefillTokens += tokens;
    }
  }
  const reserve = Math.min(prefillTokens, Math.floor(limits.stepTokens * PREFILL_SHARE));
  const decodeShare = limits.stepTokens - reserve;
  if (decodes.length > decodeShare) decodes.sort((a, b) => a.lastStep - b.lastStep || a.id - b.id);
  if (prefills.length > 1) {
    prefills.sort((a, b) => served(a.fairnessKey) - served(b.fairnessKey) || a.id - b.id);
  }
  const grants: Grant<R>[] = [];
  for (const request of decodes.slice(0, decodeShare)) grants.push({ request, tokens: 1 });
  let budget = limits.stepTokens - grants.length;
  for (const request of prefills) {
    if (budget === 0) break;
    const tokens = Math.min(budget, missing(request), chunkOf(request));
    grants.push({ request, tokens });
    budget -= tokens;
  }
  return grants;
}

interface PageClaim<R> {
  readonly grants: Grant<R>[];
  readonly preempted: Set<R>;
  freePages: number;
}

/** Gives pages to the grants, oldest request first; where they run out, younger requests lose theirs. */
function claimPages<R extends Schedulable>(
  input: ScheduleInput<R>,
  wanted: readonly Grant<R>[],
): PageClaim<R> {
  const { pageTokens } = input.limits;
  const claim: PageClaim<R> = { grants: [], preempted: new Set(), freePages: input.freePages };
  for (const { request, tokens } of wanted.toSorted((a, b) => a.request.id - b.request.id)) {
    if (claim.preempted.has(request)) continue;
    const need = pagesFor(request.computedTokens + tokens, pageTokens) - request.heldPages;
    preemptFor(need, input.running, claim, (victim) => victim.paused || victim.id > request.id);
    const fitting = (request.heldPages + claim.freePages) * pageTokens - request.computedTokens;
    const granted = Math.min(tokens, fitting);
    if (granted <= 0) continue;
    claim.freePages -= Math.max(
      0,
      pagesFor(request.computedTokens + granted, pageTokens) - request.heldPages,
    );
    claim.grants.push({ request, tokens: granted });
  }
  return claim;
}

/** Takes pages from the running requests that `mayLose` allows, paused ones first, then the youngest, until `need` are free. */
function preemptFor<R extends Schedulable>(
  need: number,
  running: readonly R[],
  claim: PageClaim<R>,
  mayLose: (victim: R) => boolean,
): void {
  while (need > claim.freePages) {
    let victim: R | undefined;
    for (const candidate of running) {
      if (candidate.heldPages === 0 || claim.preempted.has(candidate) || !mayLose(candidate)) continue;
      const better =
        victim === undefined ||
        (candidate.paused === victim.paused ? candidate.id > victim.id : candidate.paused);
      if (better) victim = candidate;
    }
    if (victim === undefined) return;
    claim.preempted.add(victim);
    claim.freePages += victim.ownPages;
  }
}

interface Entry<R> {
  readonly admitted: R[];
  readonly passed: Map<R, number>;
}

/**
 * Moves waiting requests in while slots, budget and pages last, and adds their grants to the claim. One enters only when
 * all of its known tokens and the next fit beside what the running ones still need, so that it is not thrown out at once.
 */
function admit<R extends Schedulable>(
  input: ScheduleInput<R>,
  claim: PageClaim<R>,
  budgetTokens: number,
  entry: Entry<R>,
): void {
  const { limits, running, waiting } = input;
  let slots = limits.sequences - running.length;
  if (slots <= 0 || budgetTokens <= 0 || waiting.size === 0) return;
  const needAll = (r: R): number => pagesFor(r.totalTokens + 1, limits.pageTokens);
  const granted = new Map(claim.grants.map((grant) => [grant.request, grant.tokens]));
  let sparePages = claim.freePages;
  for (const request of running) {
    const heldAfter = Math.max(
      request.heldPages,
      pagesFor(request.computedTokens + (granted.get(request) ?? 0), limits.pageTokens),
    );
    if (!request.paused) sparePages -= Math.max(0, needAll(request) - heldAfter);
  }
  const order = new WaitingOrder(waiting, input.served);
  const claimed = new Set<string>();
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
    const need = needAll(request) - reuse.heldPages + reuse.pinnedPages;
    if (need > sparePages) {
      const before = claim.freePages;
      preemptFor(need - sparePages + before, running, claim, (victim) => victim.paused);
      sparePages += claim.freePages - before;
      // A request alone in the cache always fits: admission to the engine has checked its length.
      if (need > sparePages) break;
    }
    if (!mayPass(blocked, limits.passes)) break;
    for (const [other, passes] of blocked) {
      blocked.set(other, passes + 1);
      entry.passed.set(other, passes + 1);
    }
    const wanted = request.totalTokens - reuse.tokens;
    const tokens = Math.min(budgetTokens, wanted, chunkOf(request));
    order.charge(wanted / request.fairnessWeight);
    if (reuse.nextPage !== undefined) claimed.add(reuse.nextPage);
    entry.admitted.push(request);
    claim.grants.push({ request, tokens });
    sparePages -= need;
    budgetTokens -= tokens;
    if (--slots === 0 || budgetTokens === 0) break;
  }
}

function mayPass(blocked: ReadonlyMap<unknown, number>, mostPasses: number): boolean {
  for (const passes of blocked.values()) {
    if (passes >= mostPasses) return false;
  }
  return true;
}
