/** An engine as the router sees it. */
export interface Candidate {
  readonly ready: boolean;
  /** Digest of the base model that it has loaded; absent while loading. */
  readonly base: string | undefined;
  /** Digests of the adapters that it holds or is already loading. */
  readonly adapters: ReadonlySet<string>;
  /** Tokens that it has still to compute, with those that were sent since its last status. */
  readonly queuedTokens: number;
}

export interface Wanted {
  /** Digest of the base model that the request is for. */
  readonly base: string;
  readonly adapter: string | undefined;
}

/**
 * The engines that can serve a request, best first: those that hold its adapter (loading one costs more than
 * a wait), then those with the fewest queued tokens. Equal ones keep their order.
 */
export function rankEngines<C extends Candidate>(candidates: readonly C[], wanted: Wanted): C[] {
  const misses = ({ adapters }: Candidate) =>
    wanted.adapter === undefined || adapters.has(wanted.adapter) ? 0 : 1;
  return candidates
    .filter(({ ready, base }) => ready && base === wanted.base)
    .sort((a, b) => misses(a) - misses(b) || a.queuedTokens - b.queuedTokens);
}
