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
 * The tokens that one request may guess ahead: by the draft model, which does not guess where the caller expects an answer that
 * was right so far, else of that answer, else of what it said before.
 */
export class Speculation {
  readonly #ngram: { readonly index: NgramIndex; readonly maxDraft: number } | undefined;
  readonly #prediction: PredictedAnswer | undefined;
  /** The draft model guesses so many in one step; 0: it does not. */
  readonly modelTokens: number;
  #kind: DraftKind = 'ngram';
  readonly counts: Readonly<Record<DraftKind, DraftCount>> = {
    ngram: { drafted: 0, accepted: 0 },
    prediction: { drafted: 0, accepted: 0 },
    draft: { drafted: 0, accepted: 0 },
  };

  constructor({ ngram, predicted, model, promptTokens }: SpeculationOptions) {
    if (ngram) this.#ngram = { index: new NgramIndex(ngram.minMatch), maxDraft: ngram.maxDraft };
    this.modelTokens = model?.maxDraft ?? 0;
    const { matchTokens } = PREDICTION;
    if (predicted) this.#prediction = new PredictedAnswer(predicted, { promptTokens, matchTokens });
  }

  /** Tokens of the prediction that were drafted and drawn, and that were drafted in vain. */
  get predicted(): { readonly accepted: number; readonly rejected: number } {
    const { drafted, accepted } = this.counts.prediction;
    return { accepted, rejected: drafted - accepted };
  }

  /** Where the last draft came from. */
  get kind(): DraftKind {
    return this.#kind;
  }

  /** Whether the next token may be one that the caller expects. */
  isExpected(tokens: Int32Array): boolean {
    return this.#prediction !== undefined && this.#prediction.draft(tokens, 1).length > 0;
  }

  /** Guesses at most `most` tokens after `tokens`; `guessed` are those of the draft model. */
  draft(tokens: Int32Array, most: number, guessed: readonly number[] = []): readonly number[] {
    if (guessed.length > 0 && most > 0) {
      this.#kind = 'draft';
      return guessed.slice(0, most);
    }
    const expected = this.#prediction?.draft(tokens, Math.min(most, PREDICTION.maxDraft)) ?? [];
    if (expected.length > 0) {
      this.#kind = 'prediction';
      return expected;
    }
    this.#kind = 'ngram';
    const { index, maxDraft = 0 } = this.#ngram ?? {};
    return index?.draft(tokens, Math.min(most, maxDraft)) ?? [];
  }

  /** What became of the last draft. */
  learn(drafted: number, accepted: number): void {
    const count = this.counts[this.#kind];
    count.drafted += drafted;
    count.accepted += accepted;
  }
}
