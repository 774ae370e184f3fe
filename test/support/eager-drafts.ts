import { Acceptances } from '../../libs/serving/src/speculation/acceptance.js';
import type { Candidate, DraftPlan, WhenToDraft } from '../../libs/serving/src/speculation/draft-policy.js';

/** Reads and guesses whatever it may: for tests of what guesses are, not of when they pay. */
export function eagerDrafts(depth = 4): WhenToDraft {
  const acceptances = new Acceptances();
  return {
    begin: (adapter) => acceptances.begin(adapter),
    plan<C extends Candidate>(
      candidates: readonly C[],
      { draftRows }: { readonly draftRows: number },
    ): DraftPlan<C> {
      const depths = new Map<C, number>();
      const reads = new Map<C, number>();
      let rows = draftRows;
      for (const candidate of candidates) {
        const { missing, most } = candidate;
        const guesses = missing <= 3 && most > 0;
        const taken = Math.min(guesses ? missing : missing - 1, rows);
        if (taken < 1) continue;
        rows -= taken;
        if (guesses && taken === missing) depths.set(candidate, Math.min(depth, most));
        else if (taken < missing) reads.set(candidate, taken);
      }
      return { depths, reads };
    },
    noteDraftStep: () => undefined,
    draft_ms: () => 0,
    noteStep: () => undefined,
    end: () => undefined,
  };
}
