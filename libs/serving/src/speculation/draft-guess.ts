import type { PlannedSequence } from '../loop/plan-writer.js';
import type { Sequence } from '../loop/sequence.js';
import { AllowedTokens } from '../structure/allowed-tokens.js';
import type { RequestAcceptance } from './acceptance.js';
import type { Candidate } from './draft-policy.js';

/** Logits of a row; beyond what the tokenizer knows they are padding, and may differ. */
export interface Vocabularies {
  readonly draft: number;
  /** That masks speak of: with room for those of adapters. */
  readonly masked: number;
}

/**
 * A request as the draft model sees it: its tokens and behind them those that are guessed, drawn as its own are (the same
 * settings, the same random number for the same place), and what of them lies in the draft model's cache.
 */
export class DraftGuess implements PlannedSequence, Candidate {
  readonly pages: number[] = [];
  computedTokens = 0;
  debt_ms = 0;
  isRead = false;
  most = 0;
  remaining = 0;
  readonly guessed: number[] = [];
  /** Tokens that were known when the first of `guessed` was. */
  #known = 0;
  /** Tokens from the first that the draft model knows. */
  #readable = 0;

  readonly options: PlannedSequence['options'];

  constructor(
    readonly sequence: Sequence,
    readonly acceptance: RequestAcceptance,
    private readonly vocabulary: Vocabularies,
  ) {
    this.options = this.#options();
  }

  /** A new guess begins: of the last one only what became part of the text stays in the cache. */
  restart(): void {
    const { sequence, guessed } = this;
    const known = sequence.totalTokens;
    let end = this.#known;
    while (end < known && guessed[end - this.#known] === sequence.tokenAt(end)) end++;
    this.computedTokens = Math.min(this.computedTokens, end);
    guessed.length = 0;
    this.#known = known;
  }

  get missing(): number {
    return this.totalTokens - this.computedTokens;
  }

  /** Whether the draft model knows all known tokens. */
  get isReadable(): boolean {
    const { sequence, vocabulary } = this;
    while (this.#readable < sequence.totalTokens) {
      if (sequence.tokenAt(this.#readable) >= vocabulary.draft) return false;
      this.#readable++;
    }
    return true;
  }

  /** Takes a token that was guessed; whether another may be guessed behind it. */
  take(token: number): boolean {
    if (token >= this.sequence.options.vocabSize) return false;
    this.guessed.push(token);
    return !this.sequence.options.stopRule.bannedUntilMin.includes(token);
  }

  get id(): number {
    return this.sequence.id;
  }

  /** The base model's: no adapter is trained for the draft model. */
  handleBefore(): number {
    return 0;
  }
  readonly activeFrom = 0;
  readonly adapterScale = 1;
  readonly promptLogprobs = undefined;
  readonly logprobs = undefined;
  readonly listedTokens = [];
  readonly pooled = undefined;
  readonly scoredTokens = 0;

  get heldPages(): number {
    return this.pages.length;
  }

  get promptTokens(): number {
    return this.sequence.promptTokens;
  }

  get maxTokens(): number {
    return this.sequence.maxTokens;
  }

  get totalTokens(): number {
    return this.sequence.totalTokens + this.guessed.length;
  }

  tokenAt(index: number): number {
    const { totalTokens } = this.sequence;
    return index < totalTokens ? this.sequence.tokenAt(index) : (this.guessed[index - totalTokens] as number);
  }

  get generated(): number {
    return this.sequence.generated + this.guessed.length;
  }

  get generatedTokens(): Int32Array {
    return this.sequence.generatedTokens;
  }

  get columns(): Sequence['columns'] {
    return this.sequence.columns;
  }

  get seed(): bigint {
    return this.sequence.seed;
  }

  get history(): PlannedSequence['history'] {
    const { history } = this.sequence;
    const { guessed } = this;
    return (
      history && {
        size: history.size + guessed.length,
        copyTo: (plan, offset, drafted) => history.copyTo(plan, offset, [...guessed, ...drafted]),
      }
    );
  }

  #options(): PlannedSequence['options'] {
    const { bans, stopRule, mask, vocabSize } = this.sequence.options;
    const { guessed } = this;
    const { draft, masked } = this.vocabulary;
    const ends = stopRule.bannedUntilMin.filter((token) => token < draft);
    return {
      bans: {
        // Where the draft model has fewer logits it guesses without: a guess may be wrong.
        size: draft < vocabSize ? 0 : bans.size,
        copyTo: (plan, begin, { generated, drafted }) =>
          draft < vocabSize
            ? begin
            : bans.copyTo(plan, begin, { generated, drafted: [...guessed, ...drafted] }),
      },
      stopRule: {
        bannedUntilMin: ends,
        belowMin: (ahead) => stopRule.belowMin(guessed.length + ahead),
      },
      // A structure's masks are not made for guesses that nobody has checked.
      mask: draft === masked && vocabSize === masked && mask instanceof AllowedTokens ? mask : undefined,
    };
  }
}
