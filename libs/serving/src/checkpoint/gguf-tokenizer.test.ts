import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { GgufMetadata } from '#native-engine/native.js';
import { Tokenizer } from '../text/tokenizer.js';
import { ggufTokenizer } from './gguf-tokenizer.js';

interface TokenizerCase {
  readonly fields: Readonly<Record<string, unknown>>;
  readonly cases: readonly { readonly text: string; readonly ids: number[]; readonly plain: number[] }[];
}

/** Tokenizers trained by tokenizers and sentencepiece, as conversion writes them, and the ids of the originals (make_gguf.py). */
const TOKENIZERS = JSON.parse(
  readFileSync(join(import.meta.dirname, '../../../../test/golden/gguf/tokenizers.json'), 'utf8'),
) as Readonly<Record<string, TokenizerCase>>;

const metadataOf = (fields: Readonly<Record<string, unknown>>): GgufMetadata =>
  Object.fromEntries(Object.entries(fields).map(([name, value]) => [`tokenizer.ggml.${name}`, value]));

const fieldsOf = (name: string) => TOKENIZERS[name]?.fields ?? {};

describe.each(Object.entries(TOKENIZERS))(
  'the tokenizer of a GGUF file in the manner of %s',
  (name, { fields, cases }) => {
    const tokenizer = Tokenizer.of(ggufTokenizer(metadataOf(fields)));

    it.each(cases)('makes of $text the tokens of the original', async ({ text, ids, plain }) => {
      expect([...(await tokenizer.encode(text, true)).ids]).toEqual(ids);
      expect([...(await tokenizer.encode(text, false)).ids]).toEqual(plain);
    });

    it('gives the bytes of a text back', () => {
      const whole = cases.filter(({ text }) => !/[<>]/.test(text));
      const texts = whole.map(({ plain }) =>
        Buffer.concat(plain.map((id) => tokenizer.bytesOf(id))).toString(),
      );
      const expected = whole.map(({ text }) => (name === 'qwen2' ? text.normalize('NFC') : text));
      expect(texts).toEqual(
        name === 'llama2' ? expected.map((text) => (text === '' ? '' : ` ${text}`)) : expected,
      );
    });
  },
);

describe('the tokenizer of a GGUF file', () => {
  it('knows special tokens by name, and none for padding of the vocabulary', async () => {
    const source = ggufTokenizer(metadataOf(fieldsOf('llama3')));
    expect(source.specialTokens).toEqual({ bos_token: '<|begin_of_text|>' });
    const tokenizer = Tokenizer.of(source);
    expect(tokenizer.isSpecial(tokenizer.idOf('<|eot_id|>') ?? -1)).toBe(true);
    expect(tokenizer.isSpecial(tokenizer.idOf('<think>') ?? -1)).toBe(false);
    expect(tokenizer.idOf(`[PAD${tokenizer.size}]`)).toBeUndefined();
    expect(ggufTokenizer(metadataOf(fieldsOf('llama2'))).specialTokens).toMatchObject({
      bos_token: '<s>',
      eos_token: '</s>',
      unk_token: '<unk>',
    });
  });

  it('puts BOS and EOS where the file says so', async () => {
    const ids = async (more: object): Promise<number[]> => {
      const metadata = metadataOf({ ...fieldsOf('llama2'), ...more });
      return [...(await Tokenizer.of(ggufTokenizer(metadata)).encode('x', true)).ids];
    };
    const [plain] = [(await ids({ add_bos_token: false })).length];
    expect(await ids({ add_eos_token: true })).toHaveLength((plain ?? 0) + 2);
    expect((await ids({ add_eos_token: true })).at(-1)).toBe(2);
    expect((await ids({}))[0]).toBe(1);
  });

  it("lets Phi-3's turns swallow white space", async () => {
    const fields = fieldsOf('llama2');
    const phi3 = { ...metadataOf(fields), 'general.architecture': 'phi3' };
    const plain = Tokenizer.of(ggufTokenizer(metadataOf(fields)));
    const phi = Tokenizer.of(ggufTokenizer(phi3));
    const ids = async (tokenizer: Tokenizer) => (await tokenizer.encode('<|turn|> \n x', false)).ids.length;
    expect(await ids(phi)).toBeLessThan(await ids(plain));
  });

  it('takes the whole tokenizer.json where the file holds it', () => {
    const json = ggufTokenizer(metadataOf(fieldsOf('gpt2'))).json;
    expect(
      ggufTokenizer({ ...metadataOf(fieldsOf('llama3')), 'tokenizer.huggingface.json': json }).json,
    ).toBe(json);
  });

  const duplicate = (fieldsOf('gpt2').tokens as string[]).with(
    5,
    (fieldsOf('gpt2').tokens as string[])[4] ?? '',
  );
  it.each<[string, Readonly<Record<string, unknown>>, string]>([
    [
      'another model',
      { ...fieldsOf('gpt2'), model: 'bert' },
      'tokenizer.ggml.model "bert" is not implemented (gpt2 and llama are)',
    ],
    ['no model', { ...fieldsOf('gpt2'), model: undefined }, 'tokenizer.ggml.model: '],
    [
      'another cut',
      { ...fieldsOf('gpt2'), pre: 'new-bpe' },
      'tokenizer.ggml.pre "new-bpe" is not implemented (llama-bpe, ',
    ],
    ['no cut', { ...fieldsOf('gpt2'), pre: undefined }, 'tokenizer.ggml.pre is missing'],
    ["llama.cpp's guess of a cut", { ...fieldsOf('gpt2'), pre: 'default' }, 'tokenizer.ggml.pre "default"'],
    ['no merges', { ...fieldsOf('gpt2'), merges: undefined }, 'tokenizer.ggml.merges must be given'],
    ['a merge of one', { ...fieldsOf('gpt2'), merges: ['ab'] }, 'tokenizer.ggml.merges: "ab" is no pair'],
    ['a token twice', { ...fieldsOf('gpt2'), tokens: duplicate }, 'is token 4 and token 5'],
    ['too few types', { ...fieldsOf('gpt2'), token_type: [1] }, 'tokenizer.ggml.token_type has 1 entries'],
    [
      'a BOS beyond the vocabulary',
      { ...fieldsOf('gpt2'), bos_token_id: 1e6 },
      'tokenizer.ggml.bos_token_id is 1000000',
    ],
    ['no tokens', { ...fieldsOf('gpt2'), tokens: [] }, 'tokenizer.ggml.tokens: '],
    ['numbers for tokens', { ...fieldsOf('gpt2'), tokens: [1, 2] }, 'tokenizer.ggml.tokens.0: '],
    [
      'scores that say nothing',
      { ...fieldsOf('llama2'), scores: (fieldsOf('llama2').tokens as string[]).map(() => -1000) },
      'tokenizer.ggml.scores must say',
    ],
    [
      'a table of characters',
      { ...fieldsOf('llama2'), precompiled_charsmap: [1, 2] },
      'tokenizer.ggml.precompiled_charsmap is not implemented',
    ],
  ])('of %s is refused by name', (_, fields, message) => {
    const defined = Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
    expect(() => ggufTokenizer(metadataOf(defined))).toThrow(message);
  });
});
