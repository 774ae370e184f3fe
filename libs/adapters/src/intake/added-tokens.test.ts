import { describe, expect, it } from 'vitest';
import { readAddedTokens } from './added-tokens.js';

const BASE = { tokenizerSize: 100, vocabSize: 110 };
const FLAGS = { special: true, lstrip: false, rstrip: false, single_word: false, normalized: false };
const token = (id: number, content = `<t${id}>`) => ({ id, content, ...FLAGS });
const none = { tokenizer: undefined, config: undefined, added: undefined };
const tokenizer = (...ids: number[]) => ({
  ...none,
  tokenizer: JSON.stringify({ model: {}, added_tokens: ids.map((id) => token(id)) }),
});

describe('the added tokens of an upload', () => {
  it("are those beyond the base's tokenizer, of tokenizer.json before the other files", () => {
    const config = JSON.stringify({ added_tokens_decoder: { 100: { content: 'x' } } });
    expect(readAddedTokens({ ...tokenizer(3, 101, 100), config }, BASE).tokens).toEqual([
      token(100),
      token(101),
    ]);
  });

  it('are read from what Transformers 4 writes', () => {
    const decoder = { 7: { content: '<s>', special: true }, 100: { content: 'kiwi', lstrip: true } };
    const config = JSON.stringify({ added_tokens_decoder: decoder, chat_template: 'x' });
    expect(readAddedTokens({ ...none, config }, BASE).tokens).toEqual([
      { ...token(100, 'kiwi'), special: false, lstrip: true },
    ]);
    const added = JSON.stringify({ '<pad>': 100, '<s>': 7 });
    expect(readAddedTokens({ ...none, config: '{}', added }, BASE).tokens).toEqual([token(100, '<pad>')]);
  });

  it('are left out, with a warning, where no row or no number reaches them', () => {
    const beyond = readAddedTokens(tokenizer(100, 110), { ...BASE, vocabSize: 101 });
    expect(beyond.tokens).toEqual([token(100)]);
    expect(beyond.warnings).toMatchObject([{ code: 'added_token_unused' }]);
    expect(beyond.warnings[0]?.message).toContain('there are rows for 101 tokens');
    const gap = readAddedTokens(tokenizer(100, 102), BASE);
    expect(gap.tokens).toEqual([token(100)]);
    expect(gap.warnings[0]?.message).toContain('a token before it is missing');
  });

  it('are none where nothing is added, or the engine does not say what its tokenizer has', () => {
    expect(readAddedTokens(tokenizer(3, 99), BASE)).toEqual({ tokens: [], errors: [], warnings: [] });
    expect(readAddedTokens(tokenizer(100), { vocabSize: 110 }).tokens).toEqual([]);
  });

  it.each([
    ['is not JSON', '{'],
    ['has tokens that cannot be read', JSON.stringify({ added_tokens: [{ id: -1, content: 'x' }] })],
    ['has tokens that cannot be read', JSON.stringify({ added_tokens: [{ id: 100, content: '' }] })],
  ])('are refused where the file %s', (message, text) => {
    const { errors } = readAddedTokens({ ...none, tokenizer: text }, BASE);
    expect(errors).toMatchObject([{ code: 'tokenizer_invalid' }]);
    expect(errors[0]?.message).toContain(message);
  });
});
