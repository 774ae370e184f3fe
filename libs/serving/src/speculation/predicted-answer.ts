import { ngramHash, sameNgram } from './ngram-hash.js';

/**
 * Drafts from the answer that a caller expects. Follows the drawn tokens through it; where they leave it, the place after
 * the last `matchTokens` drawn ones is looked for, from where it was left on and then from its begin.
 */
export class PredictedAnswer {
  /** Hash of an n-gram to the positions after its occurrences, in order. */
  readonly #after = new Map<number, number[]>();
  /** The next token of the prediction; undefined: the answer is not along it. */
  #at: number | undefined = 0;
  #leftAt = 0;
  #readTokens: number;

  constructor(
    private readonly predicted: Int32Array,
    private readonly options: { readonly promptTokens: number; readonly matchTokens: number },
  ) {
    this.#readTokens = options.promptTokens;
    const { matchTokens: n } = options;
    for (let end = n; end < predicted.length; end++) {
      const hash = ngramHash(predicted, end, n);
      const known = this.#after.get(hash);
      if (known) known.push(end);
      else this.#after.set(hash, [end]);
    }
  }

  /** Up to `most` tokens that may come after `tokens`, which only ever grow from call to call. */
  draft(tokens: Int32Array, most: number): number[] {
    for (; this.#readTokens < tokens.length; this.#readTokens++)
      this.#read(tokens[this.#readTokens] as number);
    this.#at ??= this.#find(tokens);
    if (this.#at === undefined || most < 1) return [];
    return [...this.predicted.subarray(this.#at, this.#at + most)];
  }

  #read(token: number): void {
    if (this.#at === undefined) return;
    if (this.predicted[this.#at] === token) {
      this.#at++;
      return;
    }
    this.#leftAt = this.#at;
    this.#at = undefined;
  }

  #find(tokens: Int32Array): number | undefined {
    const { promptTokens, matchTokens: n } = this.options;
    if (tokens.length - promptTokens < n) return undefined;
    const places = (this.#after.get(ngramHash(tokens, tokens.length, n)) ?? []).filter((end) =>
      sameNgram(this.predicted, end, { tokens, n }),
    );
    return places.find((end) => end >= this.#leftAt) ?? places[0];
  }
}
