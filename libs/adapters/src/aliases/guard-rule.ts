import type { Route } from '#contracts/adapters-api.js';
import type { ArmedGuard, Guard, GuardBreach } from '#contracts/alias-trials.js';
import { type Figures, meanOf } from './figures.js';

/** Versions whose share of the traffic grows from one set of routes to the next. */
export function grownVersions(before: readonly Route[], after: readonly Route[]): number[] {
  const shareOf = (routes: readonly Route[], version: number): number => {
    const total = routes.reduce((sum, { weight }) => sum + weight, 0);
    return (routes.find((route) => route.version === version)?.weight ?? 0) / total;
  };
  return after
    .filter(({ version }) => shareOf(after, version) > shareOf(before, version) + ROUNDING)
    .map(({ version }) => version);
}

/** 0.1 + 0.2 is no growth over 0.3. */
const ROUNDING = 1e-9;

export interface GuardedChange {
  readonly guard: Guard;
  readonly before: readonly Route[];
  readonly after: readonly Route[];
  readonly now_ms: number;
}

/** The guard as it stands from the change on; undefined when no version gets more traffic by it. */
export function armGuard({ guard, before, after, now_ms }: GuardedChange): ArmedGuard | undefined {
  const versions = grownVersions(before, after);
  if (versions.length === 0) return undefined;
  const until = new Date(now_ms + guard.window_s * 1000).toISOString();
  return { ...guard, versions, fallback: before.map(({ version }) => version), until };
}

/** The first bound that one of the guarded versions breaks. */
export function breachOf(guard: ArmedGuard, figures: ReadonlyMap<number, Figures>): GuardBreach | undefined {
  for (const version of guard.versions) {
    const { requests = 0, errors = 0, tpot_ms, tpot_sequences } = figures.get(version) ?? {};
    if (requests < guard.min_requests) continue;
    const observed = {
      max_error_rate: errors / requests,
      max_tpot_ms: meanOf(tpot_ms, tpot_sequences),
    };
    for (const bound of ['max_error_rate', 'max_tpot_ms'] as const) {
      const limit = guard[bound];
      const value = observed[bound];
      if (limit !== undefined && value !== null && value > limit)
        return { version, bound, limit, observed: value, requests };
    }
  }
  return undefined;
}

/** What the history says of it. */
export function reasonOf({ version, bound, limit, observed, requests }: GuardBreach): string {
  return bound === 'max_error_rate'
    ? `Of ${requests} requests to version ${version}, ${percent(observed)} failed; the bound was ${percent(limit)}.`
    : `Version ${version} took ${observed.toFixed(1)} ms per token over ${requests} requests; the bound was ${limit} ms.`;
}

function percent(share: number): string {
  return `${(share * 100).toFixed(1)} %`;
}
