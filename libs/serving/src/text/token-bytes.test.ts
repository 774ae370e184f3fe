import { describe, expect, it } from 'vitest';
import { tokenBytesRule } from './token-bytes.js';

const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

/** As in the tokenizer.json of Llama 2 and Mistral. */
const LLAMA_2 = {
  type: 'Sequence',
  decoders: [
    { type: 'Replace', pattern: { String: '▁' }, content: ' ' },
    { type: 'ByteFallback' },
    { type: 'Fuse' },
    { type: 'Strip', content: ' ', start: 1, stop: 0 },
  ],
};

describe('bytes of a token', () => {
  it('reads byte-level tokens', () => {
    const { toBytes } = tokenBytesRule({ type: 'ByteLevel' });
    expect(text(toBytes('ĠÃ©'))).toBe(' é');
    expect([...toBytes('ðŁ')]).toEqual([0xf0, 0x9f]);
    expect(text(toBytes('two words'))).toBe('two words');
  });

  it('reads SentencePiece tokens and their bytes', () => {
    const { toBytes, stripsLeadingSpace } = tokenBytesRule(LLAMA_2);
    expect(text(toBytes('▁the▁'))).toBe(' the ');
    expect([...toBytes('<0xE2>')]).toEqual([0xe2]);
    expect(text(toBytes('<0xZZ>'))).toBe('<0xZZ>');
    expect(stripsLeadingSpace).toBe(true);
  });

  it('refuses a decoder that it does not know rather than giving wrong text', () => {
    expect(() => tokenBytesRule({ type: 'WordPiece' })).toThrow('WordPiece');
    expect(() => tokenBytesRule(null)).toThrow('no decoder');
  });
});
