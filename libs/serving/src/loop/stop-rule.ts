import { Detokenizer, NONE_SHOWN, type ShownTokens, type TokenTexts } from '../text/detokenizer.js';
import { StopStrings } from '../text/stop-strings.js';

export interface StopOptions {
  readonly stop: readonly string[];
  readonly stopTokenIds: readonly number[];
  readonly includeStop: boolean;
  readonly ignoreEos: boolean;
  readonly eosTokenIds: readonly number[];
  readonly minTokens: number;
  readonly maxTokens: number;
  /** Special tokens that are part of the text; absent: none. */
  readonly shown?: ShownTokens | undefined;
}

export interface Ending {
  readonly reason: 'stop' | 'length';
  readonly stopReason: string | number | null;
}

export interface TokenOutcome {
  /** Text to show now. */
  readonly text: string;
  readonly ending?: Ending;
}

/** Turns a request's generated tokens into its text and says which token is the last. */
export class StopRule {
  readonly #detokenizer: Detokenizer;
  readonly #strings: StopStrings;
  readonly #eos: ReadonlySet<number>;
  readonly #stopIds: ReadonlySet<number>;
  /** Tokens that may not be drawn before `minTokens` are there. */
  readonly bannedUntilMin: readonly number[];
  readonly shown: ShownTokens;
  #count = 0;

  constructor(
    tokens: TokenTexts,
    private readonly options: StopOptions,
  ) {
    this.shown = options.shown ?? NONE_SHOWN;
    this.#detokenizer = new Detokenizer(tokens, this.shown);
    this.#strings = new StopStrings(options.stop, options.includeStop);
    this.#eos = new Set(options.ignoreEos ? [] : options.eosTokenIds);
    this.#stopIds = new Set(options.stopTokenIds);
    this.bannedUntilMin = [...new Set([...this.#eos, ...this.#stopIds])];
  }

  /** Whether the token after `ahead` more must not end the text. */
  belowMin(ahead: number): boolean {
    return this.#count + ahead < this.options.minTokens;
  }

  push(id: number): TokenOutcome {
    this.#count++;
    const isStopId = this.#stopIds.has(id);
    if (isStopId || this.#eos.has(id)) {
      // The token that ends the text is part of it only on request.
      const text = this.options.includeStop ? this.#detokenizer.push(id) : '';
      const ending: Ending = { reason: 'stop', stopReason: isStopId ? id : null };
      return { text: this.#strings.pass(text + this.#detokenizer.flush()), ending };
    }
    const piece = this.#detokenizer.push(id);
    const last = this.#count >= this.options.maxTokens;
    // Text of the tokens that had to come is never searched for stop strings.
    if (this.#count < this.options.minTokens) return { text: this.#strings.pass(piece) };
    const checked = this.#strings.push(last ? piece + this.#detokenizer.flush() : piece);
    if (checked.matched !== undefined) {
      return { text: checked.text, ending: { reason: 'stop', stopReason: checked.matched } };
    }
    if (!last) return checked;
    return {
      text: checked.text + this.#strings.flush(),
      ending: { reason: 'length', stopReason: null },
    };
  }
}
