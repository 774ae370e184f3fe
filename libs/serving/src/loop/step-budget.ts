import type { FairShares } from './fair-shares.js';
import type { Grant, Schedulable, ScheduleInput } from './scheduler.js';

/** Share of a step that decodes leave to prefills when both want it all. */
const PREFILL_SHARE = 0.25;
/** Prompt tokens that a step computes at least, and of one key, where there are any. */
const LEAST_PREFILL_TOKENS = 16;
const LEAST_OF_KEY_TOKENS = 4;
/** So many rows a step is worth before its first, as long as nothing was measured. */
const USUAL_OVERHEAD_ROWS = 64;
/** A step should be over after this time: whoever comes meanwhile waits for its end. */
const STEP_TARGET_MS = 400;

export interface StepBudget<R> {
  /** For the running requests, pages not yet considered. */
  readonly grants: Grant<R>[];
  /** Tokens of the whole step, with what enters now. */
  readonly tokens: number;
}

export const missing = (request: Schedulable): number => request.totalTokens - request.computedTokens;
export const chunkOf = (request: Schedulable): number => request.chunkTokens ?? Number.POSITIVE_INFINITY;

/** Decodes first, in turns where they are too many; prefills share what is left. */
export function budgetStep<R extends Schedulable>(
  input: ScheduleInput<R>,
  shares: FairShares<R> | undefined,
): StepBudget<R> {
  const { running, waiting, limits } = input;
  const decodes: R[] = [];
  const prefills: R[] = [];
  // Whoever waits for a free place is a prefill too. (Should it not get its pages, its share of this step is lost.)
  const entrants = entrantsOf(input, shares);
  let prefillTokens = entrants.length > 0 ? limits.stepTokens : 0;
  for (const request of running) {
    const tokens = missing(request);
    if (request.paused || request.waitsForMask === true || tokens <= 0) continue;
    if (tokens === 1) decodes.push(request);
    else {
      prefills.push(request);
      prefillTokens += tokens;
    }
  }
  const reserve = Math.min(prefillTokens, Math.floor(limits.stepTokens * PREFILL_SHARE));
  const decodeShare = limits.stepTokens - reserve;
  if (decodes.length > decodeShare) decodes.sort((a, b) => a.lastStep - b.lastStep || a.id - b.id);
  const grants = decodes.slice(0, decodeShare).map((request) => ({ request, tokens: 1 }));
  const bounds = [limits.stepTokens - grants.length, timeBound(input, grants.length)];
  if (shares !== undefined && decodes.length > 0)
    bounds.push(decodeBound(input, decodes, [...prefills, ...entrants]));
  const budget = Math.min(...bounds);
  const tokens = grants.length + budget;
  if (waiting.size > 0 || prefills.length > 0)
    grants.push(...grantPrefills(input, { prefills, entrants, budget }));
  return { grants, tokens };
}

/** One request of each key that could enter now; of those that can only wait for their turn, the least served one's. */
function entrantsOf<R extends Schedulable>(
  { running, waiting, limits, served, stalledSteps = 0 }: ScheduleInput<R>,
  shares: FairShares<R> | undefined,
): R[] {
  // What was kept for them in vain goes to others in every second step.
  if (stalledSteps % 2 === 1) return [];
  const free = running.length < limits.sequences;
  if (!free && shares === undefined) return [];
  const entrants: R[] = [];
  let next: R | undefined;
  for (const [key, [first]] of waiting) {
    if (first === undefined) continue;
    if (free || shares?.hasSlots(key) === false) entrants.push(first);
    else if (shares?.holdsNone(key) && (next === undefined || served(key) < served(next.fairnessKey))) {
      next = first;
    }
  }
  if (next !== undefined) entrants.push(next);
  return entrants;
}

/** Prompt tokens after which the step would take too long, by what steps took so far. */
function timeBound<R extends Schedulable>({ times, limits }: ScheduleInput<R>, decodes: number): number {
  if (times === undefined || times.row_ms <= 0) return limits.stepTokens;
  const rows = Math.floor((STEP_TARGET_MS - times.overhead_ms) / times.row_ms);
  return Math.max(LEAST_PREFILL_TOKENS, rows - decodes);
}

/**
 * Prompt tokens that leave every key that decodes its share of the time: a step must not take longer than one with its
 * decodes alone, by more than the weights of all bear to its own.
 */
function decodeBound<R extends Schedulable>(
  { times }: ScheduleInput<R>,
  decodes: readonly R[],
  prefills: readonly R[],
): number {
  const ofKey = new Map<string, { rows: number; weight: number }>();
  const weights = new Map<string, number>();
  for (const { fairnessKey, fairnessWeight } of prefills) weights.set(fairnessKey, fairnessWeight);
  const foreign = (key: string): boolean => weights.size > 1 || !weights.has(key);
  for (const { fairnessKey, fairnessWeight: weight } of decodes) {
    const known = ofKey.get(fairnessKey);
    if (known === undefined) ofKey.set(fairnessKey, { rows: 1, weight });
    else known.rows += 1;
  }
  const bothered = [...ofKey].filter(([key]) => foreign(key));
  for (const [key, { weight }] of ofKey) weights.set(key, weight);
  const all = [...weights.values()].reduce((sum, weight) => sum + weight, 0);
  const overhead =
    times === undefined || times.row_ms <= 0 ? USUAL_OVERHEAD_ROWS : times.overhead_ms / times.row_ms;
  const bounds = bothered.map(
    ([, { rows, weight }]) => ((overhead + rows) * all) / weight - overhead - decodes.length,
  );
  return Math.max(LEAST_PREFILL_TOKENS, Math.floor(Math.min(...bounds)));
}

interface Prefills<R> {
  readonly prefills: readonly R[];
  readonly entrants: readonly R[];
  readonly budget: number;
}

/** Shares the budget between keys by weight, the least served first; within a key the oldest request comes first. */
function grantPrefills<R extends Schedulable>(
  { served }: ScheduleInput<R>,
  { prefills, entrants, budget }: Prefills<R>,
): Grant<R>[] {
  const keys = new Map<string, { weight: number; requests: R[]; served: number; allowed: number }>();
  for (const request of [...prefills, ...entrants]) {
    const { fairnessKey: key, fairnessWeight: weight } = request;
    if (!keys.has(key)) keys.set(key, { weight, requests: [], served: served(key), allowed: 0 });
  }
  for (const request of prefills) keys.get(request.fairnessKey)?.requests.push(request);
  const entering = new Set(entrants.map(({ fairnessKey }) => fairnessKey));
  const turns = [...keys].sort(
    ([, a], [, b]) => a.served - b.served || firstId(a.requests) - firstId(b.requests),
  );
  const weights = turns.reduce((sum, [, { weight }]) => sum + weight, 0);
  let left = budget;
  for (const [key, turn] of turns) {
    const wanted = entering.has(key) ? budget : wantedBy(turn.requests);
    const part = Math.max(LEAST_OF_KEY_TOKENS, Math.floor((budget * turn.weight) / weights));
    turn.allowed = Math.min(left, wanted, part);
    left -= turn.allowed;
  }
  const grants: Grant<R>[] = [];
  for (const [, { requests, allowed }] of turns) {
    let tokens = allowed + left;
    for (const request of requests.sort((a, b) => a.id - b.id)) {
      if (tokens === 0) break;
      const granted = Math.min(tokens, missing(request), chunkOf(request));
      grants.push({ request, tokens: granted });
      tokens -= granted;
    }
    if (requests.length > 0) left = Math.min(left, tokens);
  }
  return grants;
}

function wantedBy(requests: readonly Schedulable[]): number {
  return requests.reduce((sum, request) => sum + Math.min(missing(request), chunkOf(request)), 0);
}

function firstId(requests: readonly Schedulable[]): number {
  return requests.reduce((first, { id }) => Math.min(first, id), Number.POSITIVE_INFINITY);
}
