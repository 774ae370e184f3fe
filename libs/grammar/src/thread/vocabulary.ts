import { createHash } from 'node:crypto';

/** What the tokens of a tokenizer stand for. */
export interface Vocabulary {
  /** Of all that is below: grammars are compiled for one vocabulary. */
  readonly digest: string;
  /** Logits of the model: at least as many as there are tokens. */
  readonly size: number;
  /** The bytes of all tokens, one after another. */
  readonly bytes: Uint8Array;
  /** Where the bytes of each token end. A token without bytes is never allowed, but for stop tokens. */
  readonly ends: Uint32Array;
  readonly stopTokens: readonly number[];
}

/** `tokens`: undefined for control tokens, which stand for no text. */
export function vocabularyOf(
  tokens: readonly (Uint8Array | undefined)[],
  size: number,
  stopTokens: readonly number[],
): Vocabulary {
  const ends = new Uint32Array(tokens.length);
  let end = 0;
  for (const [token, bytes] of tokens.entries()) {
    end += stopTokens.includes(token) ? 0 : (bytes?.length ?? 0);
    ends[token] = end;
  }
  const bytes = new Uint8Array(end);
  for (const [token, own] of tokens.entries())
    if (own !== undefined && !stopTokens.includes(token))
      bytes.set(own, (ends[token] as number) - own.length);
  const hash = createHash('sha256').update(JSON.stringify([size, stopTokens]));
  hash.update(new Uint8Array(ends.buffer)).update(bytes);
  return { digest: hash.digest('hex'), size, bytes, ends, stopTokens };
}

/** The alphabet of byte-level tokenizers, where each byte is one printable character: in it, any bytes are a string. */
const LETTERS: readonly string[] = (() => {
  let next = 0x100;
  return Array.from({ length: 256 }, (_, byte) => {
    const isPrintable =
      (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || (byte >= 0xae && byte <= 0xff);
    return String.fromCodePoint(isPrintable ? byte : next++);
  });
})();

/** Each token in that alphabet. */
export function byteLevelNames({ bytes, ends }: Pick<Vocabulary, 'bytes' | 'ends'>): string[] {
  const names: string[] = [];
  let start = 0;
  for (const end of ends) {
    let name = '';
    for (let i = start; i < end; i++) name += LETTERS[bytes[i] as number];
    names.push(name);
    start = end;
  }
  return names;
}
