import type { KvPages } from '../kv/kv-pages.js';
import type { Grant } from './scheduler.js';
import type { Sequence } from './sequence.js';

export interface DraftedGrant extends Grant<Sequence> {
  readonly draft: readonly number[];
}

/** Rows of a step that may hold drafts: many sequences share the cost of reading the weights without them. */
const MOST_DRAFT_ROWS = 64;

/**
 * Fills what the grants leave of the step with drafts of the requests that speculate. A draft lies after its request's
 * last known token and takes pages only while every grant could still have another.
 */
export function draftAhead(
  grants: readonly Grant<Sequence>[],
  stepTokens: number,
  pages: KvPages,
): readonly DraftedGrant[] {
  let rows = stepTokens;
  let speculating = 0;
  for (const grant of grants) {
    rows -= grant.tokens;
    if (speculates(grant)) speculating++;
  }
  rows = Math.min(rows, MOST_DRAFT_ROWS);
  return grants.map((grant) => {
    if (!speculates(grant)) return { ...grant, draft: [] };
    const { request, tokens } = grant;
    const end = request.computedTokens + tokens;
    const spareTokens = Math.max(0, pages.freePages - grants.length) * pages.pageTokens;
    const room = request.heldPages * pages.pageTokens - end + spareTokens;
    const share = Math.floor(rows / speculating--);
    // The last token that it may generate needs no successor.
    const most = Math.min(share, room, request.maxTokens - request.generated - 1);
    const draft = request.speculation?.draft(request.tokens, most) ?? [];
    rows -= draft.length;
    pages.grow(request.pages, end + draft.length);
    return { ...grant, draft };
  });
}

function speculates({ request, tokens }: Grant<Sequence>): boolean {
  return (
    request.speculation !== undefined &&
    request.maxTokens > 0 &&
    request.computedTokens + tokens === request.totalTokens
  );
}
