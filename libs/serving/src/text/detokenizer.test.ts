import { join } from 'node:path';
import fc from 'fast-check';
import { Tokenizer as RustTokenizer } from 'tokenizers';
import { beforeAll, describe, expect, it } from 'vitest';
import { Detokenizer, type TokenTexts } from './detokenizer.js';
import { Tokenizer } from './tokenizer.js';

const MODEL = join(import.meta.dirname, '../../../../test/golden/cases/llama-gqa/model');

let tokenizer: Tokenizer;
let rust: RustTokenizer;
beforeAll(async () => {
  tokenizer = await Tokenizer.load(MODEL);
  rust = RustTokenizer.fromFile(join(MODEL, 'tokenizer.json'));
});

function pieces(tokens: TokenTexts, ids: readonly number[]): string[] {
  const detokenizer = new Detokenizer(tokens);
  return [...ids.map((id) => detokenizer.push(id)), detokenizer.flush()];
}

/** Each byte is a token. */
const BYTES: TokenTexts = {
  bytesOf: (id) => Uint8Array.of(id),
  wholeTextOf: (id) => (id < 0x80 ? String.fromCharCode(id) : undefined),
  isSpecial: () => false,
};

describe('incremental detokenization', () => {
  it("equals the tokenizer's own decoding of all tokens, special ones left out", async () => {
    const ids = fc.array(fc.integer({ min: 0, max: 508 }), { maxLength: 40 });
    await fc.assert(
      fc.asyncProperty(ids, async (sequence) => {
        expect(pieces(tokenizer, sequence).join('')).toBe(await rust.decode(sequence, true));
      }),
      { numRuns: 300 },
    );
  });

  it('never emits half a character', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', maxLength: 20 }), (text) => {
        const bytes = new TextEncoder().encode(text);
        const emitted = pieces(BYTES, [...bytes]);
        expect(emitted.join('')).toBe(text);
        const replacements = emitted.join('').split('\u{fffd}').length;
        expect(replacements).toBe(text.split('\u{fffd}').length);
      }),
    );
  });

  it('shows broken bytes as U+FFFD, at the latest at the end', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 255 }), { maxLength: 30 }), (bytes) => {
        const whole = new TextDecoder('utf-8', { ignoreBOM: true }).decode(Uint8Array.from(bytes));
        expect(pieces(BYTES, bytes).join('')).toBe(whole);
      }),
    );
    expect(pieces(BYTES, [0xf0, 0x9f, 0xa6])).toEqual(['', '', '', '\u{fffd}']);
    expect(pieces(BYTES, [0xf0, 0x9f, 0xa6, 0x9c])).toEqual(['', '', '', '🦜', '']);
  });
});

describe('the tokenizer', () => {
  it('adds no special tokens to a rendered chat', async () => {
    const { ids } = await tokenizer.encode('<|bos|><|user|>hello', false);
    expect([...ids].slice(0, 2)).toEqual([0, 4]);
  });

  it('knows the special tokens by name, as templates use them', () => {
    expect(tokenizer.specialTokens).toMatchObject({ bos_token: '<|bos|>', eos_token: '<|eos|>' });
    expect([0, 1, 6, 7].map((id) => tokenizer.isSpecial(id))).toEqual([true, true, true, false]);
  });

  it("gives no text for ids between the tokenizer's size and the model's", () => {
    expect(tokenizer.textOf(511)).toBe('');
    expect(pieces(tokenizer, [511, 1])).toEqual(['', '', '']);
  });
});
