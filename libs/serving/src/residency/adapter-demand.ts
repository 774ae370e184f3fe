/*
 * Which waiting requests shall have their adapters now. A request enters the batch only while it holds its adapter, so
 * where adapters are scarce those whose adapter is there go first and run together, and the others are passed.
 *
 * Why nobody starves: a request may be passed `passes` times for want of room. Then it is due: what waiting requests
 * behind it hold goes back, and the pool closes adapters to newcomers until it has its own. Is it passed `passes` times
 * more meanwhile, nobody enters before it (scheduler.ts). Running requests always end, so the room comes.
 */

/** absent: no room so far. loading: on its way, or about to be when others have made room. ready: pinned. */
export type AdapterState = 'absent' | 'loading' | 'ready';

export interface AdapterClaimant {
  /** Undefined: the base model, always ready. */
  readonly adapter: string | undefined;
  readonly adapterState: AdapterState;
  /** It cannot be served because the pool is full (and not because its adapter is being read). */
  readonly waitsForRoom: boolean;
  /** How often others entered before it since then. */
  readonly passes: number;
}

export interface AdapterDemand<R extends AdapterClaimant> {
  /** Whether its adapter is there, or has room without taking it from anybody who runs. */
  readonly fits: (request: R) => boolean;
  /** Loads and pins it; `due`: although others must make room first. */
  readonly ask: (request: R, due: boolean) => void;
  /** No room now: it is passed. */
  readonly pass: (request: R) => void;
  /** Unpins it; the request asks again later. */
  readonly giveBack: (request: R) => void;
}

export interface DemandLimits {
  /** Requests whose adapters may be on their way at once. */
  readonly loads: number;
  readonly passes: number;
  /** Requests looked at, from the first in turn: an engine may have far more waiting than it could soon serve. */
  readonly requests: number;
}

/** `inOrder`: the waiting requests, the next to be served first; `all`: the same in any order. */
export function claimAdapters<R extends AdapterClaimant>(
  inOrder: Iterable<R>,
  all: Iterable<R>,
  demand: AdapterDemand<R>,
  limits: DemandLimits,
): void {
  const before = new Set<R>();
  let loads = 0;
  for (const request of inOrder) {
    if (before.size === limits.requests) return;
    before.add(request);
    const { adapter, adapterState } = request;
    if (adapter === undefined || adapterState === 'ready') continue;
    let due = false;
    if (adapterState === 'loading') due = request.waitsForRoom;
    else if (demand.fits(request)) demand.ask(request, false);
    else if (request.passes >= limits.passes) {
      due = true;
      demand.ask(request, true);
    } else {
      demand.pass(request);
      continue;
    }
    if (due) {
      for (const other of all) {
        const holds = other.adapterState === 'ready' && other.adapter !== undefined;
        if (holds && other.adapter !== adapter && !before.has(other)) demand.giveBack(other);
      }
      return;
    }
    if (++loads >= limits.loads) return;
  }
}
