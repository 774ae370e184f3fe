import type { TokenChoice } from '#contracts/engine-protocol.js';

const REPLACEMENT = '\uFFFD';
const strictDecoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * A token's name in log-probabilities. Bytes that are no whole character are written out as OpenAI does
 * (`bytes:\xe2\x98`), so that two different tokens never share a name.
 */
function tokenName({ text, bytes }: Pick<TokenChoice, 'text' | 'bytes'>): string {
  if (!text.includes(REPLACEMENT) || isUtf8(bytes)) return text;
  return `bytes:${bytes.map((byte) => `\\x${byte.toString(16).padStart(2, '0')}`).join('')}`;
}

/** How a request wants tokens named. */
export type TokenNaming = (token: Pick<TokenChoice, 'id' | 'text' | 'bytes'>) => string;

/** vLLM's `return_tokens_as_token_ids`: `token_id:42`, which no two tokens share either. */
export function tokenNaming(byId: boolean | null | undefined): TokenNaming {
  return byId ? ({ id }) => `token_id:${id}` : tokenName;
}

function isUtf8(bytes: readonly number[]): boolean {
  try {
    strictDecoder.decode(Uint8Array.from(bytes));
    return true;
  } catch {
    return false;
  }
}

/**
 * Where each token starts in a choice's text, in code points (as OpenAI and vLLM count, whose clients are Python);
 * a character's later bytes start where it ends.
 */
export class TextOffsets {
  readonly #decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  #offset = 0;

  /** The prompt that the text begins with; `textOffset` counts UTF-16 units. */
  ofPrompt(text: string, tokens: readonly { readonly textOffset: number }[]): number[] {
    let seen = 0;
    const offsets = tokens.map(({ textOffset }) => {
      this.#offset += countCodePoints(text.slice(seen, textOffset));
      seen = Math.max(seen, textOffset);
      return this.#offset;
    });
    this.#offset += countCodePoints(text.slice(seen));
    return offsets;
  }

  /** The next generated token. */
  next({ bytes, notInText }: Pick<TokenChoice, 'bytes'> & { readonly notInText?: true | undefined }): number {
    const offset = this.#offset;
    if (notInText) return offset;
    this.#offset += countCodePoints(this.#decoder.decode(Uint8Array.from(bytes), { stream: true }));
    return offset;
  }
}

function countCodePoints(text: string): number {
  let count = 0;
  for (const _ of text) count += 1;
  return count;
}
