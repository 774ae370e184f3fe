/** An engine as the router sees it. */
export interface Candidate {
  readonly ready: boolean;
  /** Digest of the base model that it has loaded; absent while loading. */
  readonly base: string | undefined;
  /** Digests of the adapters that it holds on its device or is already loading. */
  readonly adapters: ReadonlySet<string>;
  /** Of those whose weights lie on its host. */
  readonly hostAdapters?: ReadonlySet<string> | undefined;
  /** Tokens that it has still to compute, with those that were sent since its last status. */
  readonly queuedTokens: number;
  /** What it has measured; absent: nothing so far. */
  readonly tokensPerSecond?: number | undefined;
  readonly loadSeconds?: LoadSeconds | undefined;
}

/** How long an adapter takes to the device, by where it comes from. */
export interface LoadSeconds {
  readonly host?: number | undefined;
  readonly storage?: number | undefined;
}

export interface Wanted {
  /** Digest of the base model that the request is for. */
  readonly base: string;
  readonly adapter: string | undefined;
}

/** Of an engine that has measured nothing, where no other has either. */
const UNMEASURED = { tokensPerSecond: 5_000, host: 0.05, storage: 0.25 } as const;

/**
 * The engines that can serve a request, the one that can begin it first before the others: each has to compute what is
 * queued and to load the adapter if it lacks it. So requests for an adapter stay where it is until their queue costs more
 * than one more load, and spread from then on. Equal ones keep their order.
 */
export function rankEngines<C extends Candidate>(candidates: readonly C[], wanted: Wanted): C[] {
  const fit = candidates.filter(({ ready, base }) => ready && base === wanted.base);
  const usual = {
    tokensPerSecond: medianOf(fit.map((each) => each.tokensPerSecond)) ?? UNMEASURED.tokensPerSecond,
    host: medianOf(fit.map((each) => each.loadSeconds?.host)) ?? UNMEASURED.host,
    storage: medianOf(fit.map((each) => each.loadSeconds?.storage)) ?? UNMEASURED.storage,
  };
  const load_s = ({ adapters, hostAdapters, loadSeconds }: C): number => {
    if (wanted.adapter === undefined || adapters.has(wanted.adapter)) return 0;
    const tier = hostAdapters?.has(wanted.adapter) === true ? 'host' : 'storage';
    return loadSeconds?.[tier] ?? usual[tier];
  };
  const cost_s = (each: C): number =>
    each.queuedTokens / (each.tokensPerSecond ?? usual.tokensPerSecond) + load_s(each);
  return fit
    .map((candidate) => ({ candidate, cost_s: cost_s(candidate) }))
    .sort((a, b) => a.cost_s - b.cost_s)
    .map(({ candidate }) => candidate);
}

function medianOf(values: readonly (number | undefined)[]): number | undefined {
  const known = values.filter((value) => value !== undefined).sort((a, b) => a - b);
  return known[known.length >> 1];
}
