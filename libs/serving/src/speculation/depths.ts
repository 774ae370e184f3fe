export interface DepthCosts {
  /** What a token takes in steps without guesses. */
  readonly token_ms: number;
  /** A step of the draft model of so many rows. */
  readonly draft_ms: (rows: number) => number;
  /** So many rows more in the model's step, when so many are drafted already. */
  readonly verify_ms: (drafted: number, more: number) => number;
  /** What all of it may take, should no guess be right; undefined: whatever it does. */
  readonly most_ms?: number;
}

interface Guessable {
  readonly missing: number;
  readonly most: number;
}

/** The last guess was not read, nor the token behind it. What is missing beyond is missing once. */
const USUALLY_MISSING = 2;
/** Gains are hopes, costs are certain. */
const MARGIN = 1.1;

/**
 * For whom to guess how many tokens. Level by level: the token number `depth` is guessed for those for whom, together, the
 * steps that it saves are worth more than it takes. `shareOf` is how often a guess is right when those before it are.
 */
export function bestDepths<C extends Guessable>(
  candidates: readonly C[],
  shareOf: (candidate: C) => number,
  { token_ms, draft_ms, verify_ms, most_ms = Number.POSITIVE_INFINITY }: DepthCosts,
): Map<C, number> {
  const depths = new Map<C, number>();
  let level = candidates
    .map((candidate) => ({ candidate, share: shareOf(candidate) }))
    .toSorted((a, b) => b.share - a.share);
  let [drafted, spent_ms] = [0, 0];
  for (let depth = 1; ; depth++) {
    level = level.filter(({ candidate }) => candidate.most >= depth);
    let [gain_ms, rows, best, bestNet_ms, bestCost_ms] = [0, 0, 0, 0, 0];
    for (const [at, { candidate, share }] of level.entries()) {
      gain_ms += share ** depth * token_ms;
      rows += depth === 1 ? Math.min(candidate.missing, USUALLY_MISSING) : 1;
      const cost_ms = draft_ms(rows) + verify_ms(drafted, at + 1);
      const net_ms = gain_ms - MARGIN * cost_ms;
      if (net_ms > bestNet_ms && spent_ms + cost_ms <= most_ms)
        [best, bestNet_ms, bestCost_ms] = [at + 1, net_ms, cost_ms];
    }
    if (best === 0) break;
    level = level.slice(0, best);
    for (const { candidate } of level) depths.set(candidate, depth);
    drafted += best;
    spent_ms += bestCost_ms;
  }
  return depths;
}
