import { createHash } from 'node:crypto';

/**
 * Picks one of the weighted routes by `point` in [0, 1). A route's share is its weight over the sum of all weights.
 * `routes` must not be empty.
 */
export function chooseRoute<R extends { readonly weight: number }>(routes: readonly R[], point: number): R {
  const total = routes.reduce((sum, { weight }) => sum + weight, 0);
  let left = point * total;
  for (const route of routes) {
    left -= route.weight;
    if (left < 0) return route;
  }
  const last = routes.at(-1); // rounding ate the last crumb
  if (!last) throw new Error('an alias has at least one route');
  return last;
}

/** The same point for the same user under the same alias, spread evenly over users. */
export function stickyPoint(alias: string, user: string): number {
  const digest = createHash('sha256').update(`${alias}\0${user}`).digest();
  return digest.readUIntBE(0, 6) / 2 ** 48;
}
