import type { Tokenizer } from './tokenizer.js';

export type TokenTexts = Pick<Tokenizer, 'bytesOf' | 'wholeTextOf' | 'isSpecial'>;

/**
 * Tokens to text, one by one. Emits whole characters only: bytes of an unfinished one wait for the next token. The sum
 * of what it emits is the decoded sequence of all bytes, special tokens left out.
 */
export class Detokenizer {
  /** Holds the bytes of an unfinished character; absent while every byte so far has been emitted. */
  #decoder: TextDecoder | undefined;

  constructor(
    private readonly tokens: TokenTexts,
    private readonly keepSpecial = false,
  ) {}

  push(id: number): string {
    if (!this.keepSpecial && this.tokens.isSpecial(id)) return '';
    const whole = this.tokens.wholeTextOf(id);
    if (this.#decoder === undefined) {
      if (whole !== undefined) return whole;
      this.#decoder = new TextDecoder('utf-8', { ignoreBOM: true });
    }
    const text = this.#decoder.decode(this.tokens.bytesOf(id), { stream: true });
    // A token of whole characters leaves nothing unfinished behind it.
    if (whole !== undefined && whole !== '') this.#decoder = undefined;
    return text;
  }

  /** What is left at the end: U+FFFD for bytes that never became a character. */
  flush(): string {
    const text = this.#decoder?.decode() ?? '';
    this.#decoder = undefined;
    return text;
  }
}
