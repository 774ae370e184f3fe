import type { AdapterState } from '../residency/adapter-demand.js';
import { admit } from './admit.js';
import { FairShares } from './fair-shares.js';
import { claimPages } from './page-claim.js';
import { budgetStep } from './step-budget.js';
import type { StepTimes } from './step-cost.js';
import type { Waiting } from './waiting-order.js';

/*
 * What the next step computes, decided from plain data. There is no prefill phase and no decode phase: a request has
 * computed and total tokens, and a step grants it min(budget, total - computed).
 *
 * Why nobody starves:
 * - A decode (one token missing) waits at most until every other decode had its turn, since those served longest ago go
 *   first; prefills keep a share of every step, and every key its share of that (step-budget.ts).
 * - Slots and pages: a key that holds less than its share takes from those that hold more, whose youngest requests go
 *   back to wait and are computed again later (fair-shares.ts). Nobody waits for another key's requests to end.
 * - Pages within a key: the older request takes them from the younger. The oldest running one therefore always advances
 *   and ends (admission made sure that it fits alone), then the next is oldest.
 * - Admission: keys below their share come first, then the least served one; its first request is next and nobody
 *   passes it, so pages that become free reach it. Its counter stands still while it waits; the others' grow past it.
 *   Only while a running request computes a page that it needs too, or its adapter is not there, is it passed; the
 *   latter a bounded number of times (adapter-demand.ts).
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
  /** What its next token may be is not known yet: it gets no grant. */
  readonly waitsForMask?: boolean | undefined;
  /** Whether its adapter is there (adapter-demand.ts); only such a request enters. */
  readonly adapterState: AdapterState;
  readonly waitsForRoom: boolean;
  readonly passes: number;
  /** Number of the step that last granted it something. */
  readonly lastStep: number;
  /** Most tokens that one step computes of it; absent: as many as fit. */
  readonly chunkTokens?: number | undefined;
  /** It has not had its quantum since it entered; absent: it has. */
  readonly inTurn?: boolean | undefined;
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
  /** By fairness key; each queue by priority and then in order of arrival, none empty. */
  readonly waiting: ReadonlyMap<string, readonly R[]>;
  /** Tokens served to a fairness key so far. */
  readonly served: (fairnessKey: string) => number;
  readonly freePages: number;
  readonly limits: ScheduleLimits;
  readonly reuse: (waiting: R) => Reuse;
  /** Whether a running request is about to compute the page of that name. */
  readonly isComputed: (page: string) => boolean;
  /** What steps took so far; absent: nothing was measured. */
  readonly times?: StepTimes | undefined;
  /** Steps since a waiting request entered; absent: one has just done. */
  readonly stalledSteps?: number | undefined;
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

export function schedule<R extends Schedulable>(input: ScheduleInput<R>): Schedule<R> {
  const { running, waiting, served, limits, stalledSteps = 0 } = input;
  const pages = running.reduce((sum, { heldPages }) => sum + heldPages, input.freePages);
  const { sequences: slots, pageTokens } = limits;
  const shares = FairShares.of({ running, waiting, served, slots, pages, pageTokens, stalledSteps });
  const budget = budgetStep(input, shares);
  const claim = claimPages(input, budget.grants, shares);
  const spent = claim.grants.reduce((sum, grant) => sum + grant.tokens, 0);
  const entry = { admitted: [], passed: new Map<R, number>() };
  if (claim.preempted.size === 0) admit({ input, claim, shares, budgetTokens: budget.tokens - spent }, entry);
  return { grants: claim.grants, preempted: claim.preempted, ...entry };
}
