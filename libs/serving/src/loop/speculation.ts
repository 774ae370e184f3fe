import { NgramIndex } from './ngram-index.js';

export interface NgramSpeculation {
  /** Tokens to draft at most in one step. */
  readonly maxDraft: number;
  /** Length of the n-gram that must have occurred before. */
  readonly minMatch: number;
}

export const DEFAULT_SPECULATION: NgramSpeculation = { maxDraft: 8, minMatch: 3 };

/**
 * How much one request drafts. Each drafted token costs a row of the step, each accepted one saves a step, so the drafts
 * grow while they are right and shrink to what was. When too few are accepted it stops drafting, and tries again only
 * after ever longer pauses.
 */
export class Speculation {
  readonly #index: NgramIndex;
  #nextDraft: number;
  /** Of the last verifications, newer ones count more. */
  #acceptance = 1;
  #pauseUntil = 0;
  #pauseTokens = FIRST_PAUSE_TOKENS;

  constructor(private readonly options: NgramSpeculation) {
    this.#index = new NgramIndex(options.minMatch);
    this.#nextDraft = Math.min(FIRST_DRAFT, options.maxDraft);
  }

  /** Guesses at most `most` tokens after `tokens`. */
  draft(tokens: Int32Array, most: number): readonly number[] {
    if (tokens.length < this.#pauseUntil) return [];
    return this.#index.draft(tokens, Math.min(most, this.#nextDraft));
  }

  /** What became of the last draft; the sequence now has `length` tokens. */
  learn(drafted: number, accepted: number, length: number): void {
    this.#nextDraft = accepted === drafted ? this.#nextDraft * 2 : accepted + 1;
    this.#nextDraft = Math.min(this.#nextDraft, this.options.maxDraft);
    this.#acceptance += (accepted / drafted - this.#acceptance) * LEARNING_RATE;
    if (this.#acceptance >= LEAST_ACCEPTANCE) {
      if (this.#acceptance > 2 * LEAST_ACCEPTANCE) this.#pauseTokens = FIRST_PAUSE_TOKENS;
      return;
    }
    this.#pauseUntil = length + this.#pauseTokens;
    this.#pauseTokens *= 2;
    this.#acceptance = 2 * LEAST_ACCEPTANCE; // two bad drafts after a pause begin the next
  }
}

const FIRST_DRAFT = 4;
const LEARNING_RATE = 0.25;
const LEAST_ACCEPTANCE = 0.25;
const FIRST_PAUSE_TOKENS = 32;
