import type { KvPages } from '../kv/kv-pages.js';
import type { Grant } from '../loop/scheduler.js';
import type { Sequence } from '../loop/sequence.js';
import type { Wanted } from './drafter.js';

export interface DraftedGrant extends Grant<Sequence> {
  readonly draft: readonly number[];
}

/** Rows of a step that may hold drafts: many sequences share the cost of reading the weights without them. */
export const MOST_DRAFT_ROWS = 64;

/**
 * Fills what the grants leave of the step with drafts of the requests that speculate. A draft lies after its request's
 * last known token and takes pages only while every grant could still have another. `guessed` is what the draft model did.
 */
export function draftAhead(
  grants: readonly Grant<Sequence>[],
  stepTokens: number,
  pages: KvPages,
  guessed?: ReadonlyMap<Sequence, readonly number[]>,
): readonly DraftedGrant[] {
  let { rows, speculating } = draftRoom(grants, stepTokens);
  return grants.map((grant) => {
    if (!speculates(grant)) return { ...grant, draft: [] };
    const { request, tokens } = grant;
    const end = request.computedTokens + tokens;
    const spareTokens = Math.max(0, pages.freePages - grants.length) * pages.pageTokens;
    const room = request.heldPages * pages.pageTokens - end + spareTokens;
    const share = Math.floor(rows / speculating--);
    // The last token that it may generate needs no successor.
    const most = Math.min(share, room, request.maxTokens - request.generated - 1);
    const draft = masked(
      request,
      request.speculation?.draft(request.tokens, most, guessed?.get(request)) ?? [],
    );
    rows -= draft.length;
    pages.grow(request.pages, end + draft.length);
    return { ...grant, draft };
  });
}

/** Of a structured answer, the guesses that have masks: each token behind one needs its own. */
function masked({ options: { mask } }: Sequence, draft: readonly number[]): readonly number[] {
  return mask === undefined ? draft : draft.slice(0, mask.guess(draft));
}

/**
 * For whom the draft model may guess, and how many tokens. Not in the step that gives the first token: that would come later
 * for it.
 */
export function wantedGuesses(
  grants: readonly Grant<Sequence>[],
  stepTokens: number,
  usualTokens: number,
): Wanted[] {
  const { rows, speculating } = draftRoom(grants, stepTokens);
  const share = Math.floor(rows / Math.max(1, speculating));
  return grants.flatMap((grant) => {
    const { request } = grant;
    const { speculation, generated, maxTokens } = request;
    if (speculation === undefined || speculation.modelTokens === 0 || generated === 0) return [];
    if (!speculates(grant) || speculation.isExpected(request.tokens)) return [];
    const most = Math.min(speculation.modelTokens, share, maxTokens - generated - 1);
    const remaining = Math.min(maxTokens - generated, Math.max(LEAST_REMAINING, usualTokens - generated));
    return most < 1 ? [] : [{ sequence: request, most, remaining }];
  });
}

/** Requests that generate more than is usual go on for as many at least. */
const LEAST_REMAINING = 16;

function draftRoom(grants: readonly Grant<Sequence>[], stepTokens: number) {
  const granted = grants.reduce((sum, { tokens }) => sum + tokens, 0);
  return {
    rows: Math.min(stepTokens - granted, MOST_DRAFT_ROWS),
    speculating: grants.filter(speculates).length,
  };
}

function speculates({ request, tokens }: Grant<Sequence>): boolean {
  return (
    request.speculation !== undefined &&
    request.maxTokens > 0 &&
    request.computedTokens + tokens === request.totalTokens
  );
}
