import type { KvPages } from '../kv/kv-pages.js';
import type { Grant } from '../loop/scheduler.js';
import type { Sequence } from '../loop/sequence.js';
import type { Wanted } from './drafter.js';
import type { TextDrafts, TextOffer } from './text-drafts.js';

export interface DraftedGrant extends Grant<Sequence> {
  readonly draft: readonly number[];
}

/** Rows of a step that may hold drafts: many sequences share the cost of reading the weights without them. */
export const MOST_DRAFT_ROWS = 64;

interface DraftRoom {
  readonly stepTokens: number;
  readonly pages: KvPages;
  readonly text: Pick<TextDrafts, 'take'>;
  /** What the draft model did. */
  readonly guessed?: ReadonlyMap<Sequence, readonly number[]>;
}

/**
 * Fills what the grants leave of the step with drafts of the requests that speculate. A draft lies after its request's
 * last known token and takes pages only while every grant could still have another.
 */
export function draftAhead(grants: readonly Grant<Sequence>[], room: DraftRoom): readonly DraftedGrant[] {
  const { pages } = room;
  const offers = offeredDrafts(grants, room);
  const most = draftLengths(grants, offers, room.text);
  return grants.map((grant) => {
    const { request, tokens } = grant;
    const end = request.computedTokens + tokens;
    const spareTokens = Math.max(0, pages.freePages - grants.length) * pages.pageTokens;
    const roomTokens = request.heldPages * pages.pageTokens - end + spareTokens;
    const length = Math.max(0, Math.min(roomTokens, most.get(request) ?? 0));
    const draft = length === 0 ? [] : masked(request, (offers.get(request) ?? []).slice(0, length));
    pages.grow(request.pages, end + draft.length);
    return { ...grant, draft };
  });
}

/** What could be guessed for each, where all of it had room. */
function offeredDrafts(
  grants: readonly Grant<Sequence>[],
  { stepTokens, guessed }: DraftRoom,
): ReadonlyMap<Sequence, readonly number[]> {
  let { rows, speculating } = draftRoom(grants, stepTokens);
  const offers = new Map<Sequence, readonly number[]>();
  for (const grant of grants) {
    if (!speculates(grant)) continue;
    const { request } = grant;
    const share = Math.floor(rows / speculating--);
    // The last token that it may generate needs no successor.
    const most = Math.min(share, request.maxTokens - request.generated - 1);
    const offer = request.speculation?.draft(request.tokens, most, guessed?.get(request)) ?? [];
    if (offer.length > 0) offers.set(request, offer);
    rows -= offer.length;
  }
  return offers;
}

/** The draft model was asked for no more than pays; what is found in text has to be worth its rows. */
function draftLengths(
  grants: readonly Grant<Sequence>[],
  offers: ReadonlyMap<Sequence, readonly number[]>,
  text: DraftRoom['text'],
): ReadonlyMap<Sequence, number> {
  const lengths = new Map<Sequence, number>();
  const found: TextOffer[] = [];
  for (const [sequence, tokens] of offers) {
    const kind = sequence.speculation?.kind;
    if (kind === 'ngram' || kind === 'prediction') found.push({ sequence, kind, tokens });
    else lengths.set(sequence, tokens.length);
  }
  let rows = 0;
  for (const { tokens } of grants) rows += tokens;
  for (const length of lengths.values()) rows += length;
  const taken = text.take(found, { rows, draws: grants.filter(draws).length });
  return new Map([...lengths, ...taken]);
}

/** Whether it gets a token in the step. */
export function draws({ request, tokens }: Grant<Sequence>): boolean {
  return request.maxTokens > 0 && request.computedTokens + tokens === request.totalTokens;
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
  text: Pick<TextDrafts, 'expects'>,
): Wanted[] {
  const { rows, speculating } = draftRoom(grants, stepTokens);
  const share = Math.floor(rows / Math.max(1, speculating));
  return grants.flatMap((grant) => {
    const { request } = grant;
    const { speculation, generated, maxTokens } = request;
    if (speculation === undefined || speculation.modelTokens === 0 || generated === 0) return [];
    if (!speculates(grant) || text.expects(request)) return [];
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

function speculates(grant: Grant<Sequence>): boolean {
  return grant.request.speculation !== undefined && draws(grant);
}
