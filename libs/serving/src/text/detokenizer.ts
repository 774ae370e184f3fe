import type { Tokenizer } from './tokenizer.js';

export type TokenTexts = Pick<Tokenizer, 'bytesOf' | 'wholeTextOf' | 'isSpecial'>;

/** Which special tokens are part of the text. */
export type ShownTokens = 'all' | ReadonlySet<number>;
export const NONE_SHOWN: ShownTokens = new Set<number>();

/** Whether the token counts and yet is no part of the text. */
export function isHidden(tokens: Pick<TokenTexts, 'isSpecial'>, shown: ShownTokens, id: number): boolean {
  return shown !== 'all' && tokens.isSpecial(id) && !shown.has(id);
}

/**
 * Tokens to text, one by one. Emits whole characters only: bytes of an unfinished one wait for the next token. The sum
 * of what it emits is the decoded sequence of all bytes, special tokens left out that are not to be shown.
 */
export class Detokenizer {
  /** Holds the bytes of an unfinished character; absent while every byte so far has been emitted. */
  #decoder: TextDecoder | undefined;

  constructor(
    private readonly tokens: TokenTexts,
    private readonly shown: ShownTokens = NONE_SHOWN,
  ) {}

  push(id: number): string {
    if (isHidden(this.tokens, this.shown, id)) return '';
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
