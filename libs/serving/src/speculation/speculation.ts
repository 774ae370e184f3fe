import { NgramIndex } from './ngram-index.js';
import { PredictedAnswer } from './predicted-answer.js';

export interface NgramSpeculation {
  /** Tokens to draft at most in one step. */
  readonly maxDraft: number;
  /** Length of the n-gram that must have occurred before. */
  readonly minMatch: number;
}

export const DEFAULT_SPECULATION: NgramSpeculation = { maxDraft: 8, minMatch: 3 };

export interface ModelSpeculation {
  /** Tokens that the draft model guesses at most in one step. */
  readonly maxDraft: number;
}

export const DEFAULT_MODEL_SPECULATION: ModelSpeculation = { maxDraft: 8 };

/** How much is drafted from an answer that the caller expects. */
const PREDICTION = { maxDraft: 16, matchTokens: 3 };

export interface SpeculationOptions {
  /** Absent: not from the tokens before. */
  readonly ngram?: NgramSpeculation | undefined;
  /** The answer that the caller expects, if one is. */
  readonly predicted?: Int32Array | undefined;
  /** Absent: not by the draft model. */
  readonly model?: ModelSpeculation | undefined;
  readonly promptTokens: number;
}

/** Where a draft comes from: the tokens before, the answer that the caller expects, the draft model. */
export const DRAFT_KINDS = ['ngram', 'prediction', 'draft'] as const;
export type DraftKind = (typeof DRAFT_KINDS)[number];

/** Tokens that were drafted, and those of them that were drawn too. */
export interface DraftCount {
  drafted: number;
  accepted: number;
}

/**
 * The tokens that one request guesses ahead: of the answer that its caller expects, else by the draft model, else of what it
 * said before.
 */
export class Speculation {
  readonly #ngram: { readonly index: NgramIndex; readonly pace: DraftPace } | undefined;
  readonly #prediction: { readonly answer: PredictedAnswer; readonly pace: DraftPace } | undefined;
  /** The draft model guesses so many in one step; 0: it does not. */
  readonly modelTokens: number;
  /** Of the last draft. */
  #kind: DraftKind | undefined;
  readonly counts: Readonly<Record<DraftKind, DraftCount>> = {
    ngram: { drafted: 0, accepted: 0 },
    prediction: { drafted: 0, accepted: 0 },
    draft: { drafted: 0, accepted: 0 },
  };

  constructor({ ngram, predicted, model, promptTokens }: SpeculationOptions) {
    if (ngram) this.#ngram = { index: new NgramIndex(ngram.minMatch), pace: new DraftPace(ngram.maxDraft) };
    this.modelTokens = model?.maxDraft ?? 0;
    if (predicted) {
      const { matchTokens, maxDraft } = PREDICTION;
      const answer = new PredictedAnswer(predicted, { promptTokens, matchTokens });
      this.#prediction = { answer, pace: new DraftPace(maxDraft) };
    }
  }

  /** Tokens of the prediction that were drafted and drawn, and that were drafted in vain. */
  get predicted(): { readonly accepted: number; readonly rejected: number } {
    const { drafted, accepted } = this.counts.prediction;
    return { accepted, rejected: drafted - accepted };
  }

  /** Whether the next tokens may be those that the caller expects: no others are guessed then. */
  isExpected(tokens: Int32Array): boolean {
    const most = this.#prediction?.pace.allows(tokens.length, 1) ?? 0;
    return most > 0 && this.#prediction?.answer.draft(tokens, most).length === most;
  }

  /** Guesses at most `most` tokens after `tokens`; `guessed` are those of the draft model. */
  draft(tokens: Int32Array, most: number, guessed: readonly number[] = []): readonly number[] {
    const { length } = tokens;
    const expected = this.#prediction?.pace.allows(length, most) ?? 0;
    const draft = expected > 0 ? this.#prediction?.answer.draft(tokens, expected) : undefined;
    if (draft && draft.length > 0) {
      this.#kind = 'prediction';
      return draft;
    }
    if (guessed.length > 0 && most > 0) {
      this.#kind = 'draft';
      return guessed.slice(0, most);
    }
    this.#kind = 'ngram';
    return this.#ngram?.index.draft(tokens, this.#ngram.pace.allows(length, most)) ?? [];
  }

  /** What became of the last draft; the sequence now has `length` tokens. */
  learn(drafted: number, accepted: number, length: number): void {
    if (this.#kind === undefined) return;
    const count = this.counts[this.#kind];
    count.drafted += drafted;
    count.accepted += accepted;
    if (this.#kind === 'ngram') this.#ngram?.pace.learn(drafted, accepted, length);
    if (this.#kind === 'prediction') this.#prediction?.pace.learn(drafted, accepted, length);
  }
}

/**
 * How many tokens are drafted from one source. Each drafted token costs a row of the step, each accepted one saves a step,
 * so the drafts grow while they are right and shrink to what was. When too few are accepted it stops drafting, and tries
 * again only after ever longer pauses.
 */
class DraftPace {
  #nextDraft: number;
  /** Of the last verifications, newer ones count more. */
  #acceptance = 1;
  #pauseUntil = 0;
  #pauseTokens = FIRST_PAUSE_TOKENS;

  constructor(private readonly maxDraft: number) {
    this.#nextDraft = Math.min(FIRST_DRAFT, maxDraft);
  }

  /** How many of `most` tokens may be drafted after the first `length`. */
  allows(length: number, most: number): number {
    return length < this.#pauseUntil ? 0 : Math.min(most, this.#nextDraft);
  }

  learn(drafted: number, accepted: number, length: number): void {
    this.#nextDraft = accepted === drafted ? this.#nextDraft * 2 : accepted + 1;
    this.#nextDraft = Math.min(this.#nextDraft, this.maxDraft);
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
