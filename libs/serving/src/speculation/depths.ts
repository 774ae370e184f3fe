export interface DepthCosts {
  /** What a token takes in steps without guesses. */
  readonly token_ms: number;
  /** A step of the draft model of so many rows. */
  readonly draft_ms: (rows: number) => number;
  /** So many rows more in the model's step, when so many are drafted already. */
  readonly verify_ms: (drafted: number, more: number) => number;
}

interface Guessable {
  readonly missing: number;
  readonly most: number;
}

const MOST_DEPTH = 8;
/** Gains are hopes, costs are certain. */
const MARGIN = 1.1;

/**
 * For whom to guess how many tokens. Level by level: the token number `depth` is guessed for those for whom, together, the
 * steps that it saves are worth more than it takes. `shareOf` is how often a guess is right when those before it are.
 */
export function bestDepths<C extends Guessable>(
  candidates: readonly C[],
  shareOf: (candidate: C) => number,
  { token_ms, draft_ms, verify_ms }: DepthCosts,
): Map<C, number> {
  const depths = new Map<C, number>();
  let level = candidates
    .map((candidate) => ({ candidate, share: shareOf(candidate) }))
    .toSorted((a, b) => b.share - a.share);
  let drafted = 0;
  for (let depth = 1; depth <= MOST_DEPTH; depth++) {
    level = level.filter(({ candidate }) => candidate.most >= depth);
    let [gain_ms, rows, best, bestNet_ms] = [0, 0, 0, 0];
    for (const [at, { candidate, share }] of level.entries()) {
      gain_ms += share ** depth * token_ms;
      rows += depth === 1 ? candidate.missing : 1;
      const net_ms = gain_ms - MARGIN * (draft_ms(rows) + verify_ms(drafted, at + 1));
      if (net_ms > bestNet_ms) [best, bestNet_ms] = [at + 1, net_ms];
    }
    if (best === 0) break;
    level = level.slice(0, best);
    for (const { candidate } of level) depths.set(candidate, depth);
    drafted += best;
  }
  return depths;
}
