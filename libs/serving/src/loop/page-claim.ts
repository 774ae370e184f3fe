import { pagesFor } from '../kv/kv-pages.js';
import type { FairShares } from './fair-shares.js';
import type { Grant, Schedulable, ScheduleInput } from './scheduler.js';

export interface PageClaim<R> {
  readonly grants: Grant<R>[];
  readonly preempted: Set<R>;
  freePages: number;
}

/** Gives pages to the grants; where they run out, others lose theirs: those of keys over their share, then the younger. */
export function claimPages<R extends Schedulable>(
  input: ScheduleInput<R>,
  wanted: readonly Grant<R>[],
  shares: FairShares<R> | undefined,
): PageClaim<R> {
  const { pageTokens } = input.limits;
  const claim: PageClaim<R> = { grants: [], preempted: new Set(), freePages: input.freePages };
  const isOver = ({ fairnessKey }: R): number => Number(shares?.holdsMorePages(fairnessKey) ?? false);
  const inOrder = wanted.toSorted(
    (a, b) => isOver(a.request) - isOver(b.request) || a.request.id - b.request.id,
  );
  // They keep their pages: another key than in the order may hold more than its share by now.
  const granted = new Set<R>();
  for (const { request, tokens } of inOrder) {
    if (claim.preempted.has(request)) continue;
    const need = pagesFor(request.computedTokens + tokens, pageTokens) - request.heldPages;
    preemptFor(need, { input, claim, shares }, (victim) => {
      if (victim.paused) return true;
      if (granted.has(victim)) return false;
      const over = victim.fairnessKey === request.fairnessKey ? 0 : isOver(victim) - isOver(request);
      return over === 0 ? victim.id > request.id : over > 0;
    });
    const fitting = (request.heldPages + claim.freePages) * pageTokens - request.computedTokens;
    const possible = Math.min(tokens, fitting);
    if (possible <= 0) continue;
    claim.freePages -= newPages(request, possible, pageTokens);
    claim.grants.push({ request, tokens: possible });
    granted.add(request);
  }
  return claim;
}

/** Pages that a grant takes beside those that the request holds. */
export function newPages(request: Schedulable, tokens: number, pageTokens: number): number {
  return Math.max(0, pagesFor(request.computedTokens + tokens, pageTokens) - request.heldPages);
}

export interface PageTaking<R extends Schedulable> {
  readonly input: Pick<ScheduleInput<R>, 'running'>;
  readonly claim: PageClaim<R>;
  readonly shares: FairShares<R> | undefined;
}

/**
 * Takes pages from the running requests that `mayLose` allows until `need` are free: paused ones first, then those of
 * keys over their share, then the youngest.
 */
export function preemptFor<R extends Schedulable>(
  need: number,
  { input: { running }, claim, shares }: PageTaking<R>,
  mayLose: (victim: R) => boolean,
): void {
  const rank = ({ paused, fairnessKey }: R): number =>
    paused ? 2 : Number(shares?.holdsMorePages(fairnessKey) ?? false);
  while (need > claim.freePages) {
    let victim: R | undefined;
    for (const candidate of running) {
      if (candidate.heldPages === 0 || claim.preempted.has(candidate) || !mayLose(candidate)) continue;
      const comesFirst =
        victim === undefined || (rank(candidate) - rank(victim) || candidate.id - victim.id) > 0;
      if (comesFirst) victim = candidate;
    }
    if (victim === undefined) return;
    claim.preempted.add(victim);
    claim.freePages += victim.ownPages;
    shares?.leave(victim);
  }
}
