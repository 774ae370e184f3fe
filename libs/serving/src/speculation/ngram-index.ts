import { ngramHash, sameNgram } from './ngram-hash.js';

/**
 * Prompt-lookup drafting (Saxena 2023): where the last `matchTokens` tokens of a sequence stood before, what followed them
 * then may follow now. Remembers the last place of each n-gram; a place found by hash is compared before it is used.
 */
export class NgramIndex {
  /** Hash of an n-gram to the position after its last occurrence. */
  readonly #after = new Map<number, number>();
  #indexedTokens = 0;

  constructor(private readonly matchTokens: number) {}

  /** Up to `most` tokens that may come after `tokens`, which only ever grow from call to call. */
  draft(tokens: Int32Array, most: number): number[] {
    const n = this.matchTokens;
    if (tokens.length <= n || most < 1) return [];
    // The n-gram at the very end is what is looked up, so it is not there yet.
    for (let end = Math.max(n, this.#indexedTokens + 1); end < tokens.length; end++) {
      this.#after.set(ngramHash(tokens, end, n), end);
      this.#indexedTokens = end;
    }
    const from = this.#after.get(ngramHash(tokens, tokens.length, n));
    if (from === undefined || !sameNgram(tokens, from, { tokens, n })) return [];
    const draft: number[] = [];
    // Where the past ends the draft goes on from itself: a repetition keeps repeating.
    for (let at = from; draft.length < most; at++) {
      draft.push((at < tokens.length ? tokens[at] : draft[at - tokens.length]) as number);
    }
    return draft;
  }
}
