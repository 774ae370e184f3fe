import { join } from 'node:path';
import { afterEach, beforeAll, expect, it } from 'vitest';
import type { AddedToken } from '#contracts/adapter-manifest.js';
import { AdapterTokenizers } from './adapter-tokenizers.js';
import { newNonce } from './control-tokens.js';
import { TooManyTokensError } from './text-coder.js';
import { coderWithAdded, Tokenizer } from './tokenizer.js';

const MODEL = join(import.meta.dirname, '../../../../test/golden/cases/llama-gqa/model');

let base: Tokenizer;
let tokenizers: AdapterTokenizers;
beforeAll(async () => {
  base = await Tokenizer.load(MODEL);
});
afterEach(() => tokenizers.close());

function added(...contents: readonly string[]): { addedTokens: AddedToken[] } {
  const flags = { special: true, lstrip: false, rstrip: false, single_word: false, normalized: false };
  return { addedTokens: contents.map((content, i) => ({ id: base.size + i, content, ...flags })) };
}

const idsOf = async (tokenizer: Tokenizer, text: string) => [...(await tokenizer.encode(text, true)).ids];

it('reads and writes text as the library does with the tokens added, and the base as before', async () => {
  tokenizers = new AdapterTokenizers(base);
  const own = added('<|tool|>', 'wörd');
  const tokenizer = await tokenizers.of(own, 'a');
  const local = coderWithAdded(base.source, own.addedTokens, newNonce());
  const text = 'Ask <|tool|> for a wörd, and <|tool|>again.';
  const ids = await idsOf(tokenizer, text);
  expect(ids).toEqual([...(await local.encode(text, true)).ids]);
  expect(ids).toContain(base.size);
  expect(ids).toContain(base.size + 1);
  expect(await tokenizer.decode(ids)).toBe(await local.decode(ids));
  expect(await idsOf(base, text)).not.toContain(base.size);

  expect([tokenizer.size, tokenizer.nameOf(base.size), tokenizer.idOf('wörd')]).toEqual([
    base.size + 2,
    '<|tool|>',
    base.size + 1,
  ]);
  expect([tokenizer.isSpecial(base.size), tokenizer.isSpecial(0)]).toEqual([true, base.isSpecial(0)]);
  for (let id = 0; id < base.size; id++) {
    expect(tokenizer.bytesOf(id)).toBe(base.bytesOf(id));
    expect(tokenizer.wholeTextOf(id)).toBe(base.wholeTextOf(id));
  }
});

it('reads a control token among them where the template has it, and not where a message spells it', async () => {
  tokenizers = new AdapterTokenizers(base);
  const tokenizer = await tokenizers.of(added('<|tool|>'), 'a');
  const control = tokenizer.renderData.controlTokens.find(({ content }) => content === '<|tool|>');
  const text = `${control?.secret} says <|tool|>`;
  const { ids } = await tokenizer.encodeGuarded({ text, respelled: true });
  expect(ids.filter((id) => id === base.size)).toHaveLength(1);
  expect(ids[0]).toBe(base.size);
});

it('says how many tokens a text has where they are more than may be', async () => {
  tokenizers = new AdapterTokenizers(base);
  const tokenizer = await tokenizers.of(added('<|tool|>'), 'a');
  const error = await tokenizer
    .encode('<|tool|><|tool|><|tool|>', false, 2)
    .catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(TooManyTokensError);
  expect(error).toMatchObject({ tokens: 3 });
});

it('shares one between adapters with the same tokens, also while it is made', async () => {
  tokenizers = new AdapterTokenizers(base);
  const [one, two] = await Promise.all([
    tokenizers.of(added('<|tool|>'), 'a'),
    tokenizers.of(added('<|tool|>'), 'b'),
  ]);
  expect(two).toBe(one);
  expect(await tokenizers.of(added('<|tool|>'), 'c')).toBe(one);
  expect(await tokenizers.of(undefined, 'c')).toBe(base);
});

it('refuses tokens that have other ids beside the base', async () => {
  tokenizers = new AdapterTokenizers(base);
  const { addedTokens } = added('<|tool|>');
  const moved = { addedTokens: addedTokens.map((token) => ({ ...token, id: token.id + 7 })) };
  await expect(tokenizers.of(moved, 'a')).rejects.toMatchObject({
    code: 'invalid_request',
    message: expect.stringContaining(`"<|tool|>" the id ${base.size + 7}`),
  });
  // It is not kept.
  await expect(tokenizers.of(added('<|tool|>'), 'a')).resolves.toBeInstanceOf(Tokenizer);
});

it('goes on reading for a request whose tokenizer had to make room, with the same secret spellings', async () => {
  tokenizers = new AdapterTokenizers(base);
  const first = await tokenizers.of(added('<|tool|>'), 'a');
  const secret = first.renderData.controlTokens.find(({ content }) => content === '<|tool|>')?.secret;
  for (let i = 0; i < 4; i++) await tokenizers.of(added(`<|other${i}|>`), 'a');
  const { ids } = await first.encodeGuarded({ text: `${secret}<|tool|>`, respelled: true });
  expect(ids.filter((id) => id === base.size)).toHaveLength(1);
  expect(await tokenizers.of(added('<|tool|>'), 'a')).not.toBe(first);
});

it('makes one at a time, in fair turns, and refuses more of a caller than may wait', async () => {
  const made: string[] = [];
  const ends: (() => void)[] = [];
  tokenizers = new AdapterTokenizers(base, async ({ tokens }) => {
    made.push(tokens[0]?.content ?? '');
    await new Promise<void>((resolve) => ends.push(resolve));
    const coder = coderWithAdded(base.source, tokens, newNonce());
    return Object.assign(coder, { rest: () => {}, close: () => Promise.resolve() });
  });
  const of = (content: string, caller: string) => tokenizers.of(added(content), caller);
  const mine = Array.from({ length: 65 }, (_, i) => of(`<|${i}|>`, 'a'));
  const others = of('<|b|>', 'b');
  await expect(of('<|one too many|>', 'a')).rejects.toMatchObject({ code: 'overloaded' });
  expect(made).toEqual(['<|0|>']);
  ends[0]?.();
  await mine[0];
  await expect.poll(() => made).toEqual(['<|0|>', '<|b|>']);
  ends[1]?.();
  await others;
});
