import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import type { AddedToken } from '#contracts/adapter-manifest.js';
import type { RenderWorkerData } from '#jinja/chat/render-thread.js';
import type { GuardedText } from '#jinja/chat/control-tokens.js';
import { readJsonIfThere } from './json-file.js';
import { type EncodedText, LibraryCoder, type TextCoder } from './text-coder.js';
import { tokenBytesRule } from './token-bytes.js';
import { Vocabulary } from './vocabulary.js';

const TokenNameSchema = z
  .union([z.string(), z.looseObject({ content: z.string() })])
  .nullish()
  .transform((name) => (typeof name === 'object' ? name?.content : name) ?? undefined);

const NAMED_TOKENS = ['bos_token', 'eos_token', 'unk_token', 'pad_token', 'sep_token', 'cls_token'] as const;
const SpecialTokensSchema = z.looseObject(
  Object.fromEntries(NAMED_TOKENS.map((name) => [name, TokenNameSchema])) as Record<
    (typeof NAMED_TOKENS)[number],
    typeof TokenNameSchema
  >,
);

const TokenizerFileSchema = z.looseObject({
  added_tokens: z
    .array(z.looseObject({ id: z.int(), content: z.string(), special: z.boolean().default(false) }))
    .default([]),
  decoder: z.unknown(),
});

/** What a tokenizer is made of. */
export interface TokenizerSource {
  /** tokenizer.json's text. */
  readonly json: string;
  /** bos_token, eos_token, ...: as chat templates name them. */
  readonly specialTokens: Readonly<Record<string, string>>;
}

/** The base model's tokenizer: text to ids off this thread, and for each id the bytes that it stands for. */
export class Tokenizer {
  private constructor(
    private readonly coder: TextCoder,
    private readonly vocabulary: Vocabulary,
    readonly source: TokenizerSource,
  ) {
    this.stripsLeadingSpace = vocabulary.stripsLeadingSpace;
    this.longestToken = vocabulary.longest;
  }

  readonly stripsLeadingSpace: boolean;
  /** No token stands for more characters than this. */
  readonly longestToken: number;

  /** Of a folder that holds tokenizer.json. */
  static async load(modelPath: string): Promise<Tokenizer> {
    return Tokenizer.of(await readTokenizer(modelPath));
  }

  static of(source: TokenizerSource): Tokenizer {
    const { json, specialTokens } = source;
    const file = readFileOf(json);
    const coder = coderOf(source);
    const named = new Set(Object.values(specialTokens));
    const special = file.added_tokens.filter(({ content, special: is }) => is || named.has(content));
    const rule = tokenBytesRule(file.decoder);
    const ids = new Set(special.map(({ id }) => id));
    return new Tokenizer(coder, Vocabulary.of(coder.tokens, rule, coder, ids), source);
  }

  /** The same with more tokens, whose ids go on from its own; `coder` knows them. */
  withAdded(tokens: readonly AddedToken[], coder: TextCoder): Tokenizer {
    return new Tokenizer(coder, this.vocabulary.plus(tokens), this.source);
  }

  /** bos_token, eos_token, ...: as chat templates name them. */
  get specialTokens(): Readonly<Record<string, string>> {
    return this.source.specialTokens;
  }

  /** Ids from 0 to here are known; the model's vocabulary may be larger. */
  get size(): number {
    return this.vocabulary.size;
  }

  get renderData(): RenderWorkerData {
    return this.coder.renderData;
  }

  /** As a coder's. */
  encode(text: string, addSpecial: boolean, limitTokens?: number): Promise<EncodedText> {
    return this.coder.encode(text, addSpecial, limitTokens);
  }

  encodeGuarded(text: GuardedText, limitTokens?: number): Promise<EncodedText> {
    return this.coder.encodeGuarded(text, limitTokens);
  }

  decode(ids: readonly number[]): Promise<string> {
    return this.coder.decode(ids);
  }

  /** As the vocabulary spells it; empty for an id that the tokenizer does not know. */
  nameOf(id: number): string {
    return this.vocabulary.nameOf(id) ?? '';
  }

  idOf(token: string): number | undefined {
    return this.vocabulary.idOf(token);
  }

  /** Of those of the spellings that are tokens. */
  idsOf(tokens: readonly string[]): ReadonlySet<number> {
    return new Set(tokens.map((token) => this.idOf(token)).filter((id) => id !== undefined));
  }

  /** Special tokens count, but are not part of the text. */
  isSpecial(id: number): boolean {
    return this.vocabulary.isSpecial(id);
  }

  /** Empty for an id that the tokenizer does not know (padding of the model's vocabulary). */
  bytesOf(id: number): Uint8Array {
    return this.vocabulary.bytesOf(id) ?? NO_BYTES;
  }

  /** The token's text when its bytes are whole characters. */
  wholeTextOf(id: number): string | undefined {
    return this.vocabulary.bytesOf(id) === undefined ? '' : this.vocabulary.wholeTextOf(id);
  }

  /** The token's text by itself: U+FFFD where its bytes are no whole characters. */
  textOf(id: number): string {
    return this.wholeTextOf(id) ?? lossy.decode(this.bytesOf(id));
  }
}

const NO_BYTES = new Uint8Array(0);
const lossy = new TextDecoder('utf-8', { ignoreBOM: true });

const readFileOf = (json: string) => TokenizerFileSchema.parse(JSON.parse(json));

const coderOf = ({ json, specialTokens }: TokenizerSource, nonce?: string) =>
  LibraryCoder.of(json, new Set(Object.values(specialTokens)), nonce);

/** A coder for the same with more tokens. Throws TokenPlaceError. `nonce`: as guardTokenizer's. */
export function coderWithAdded(
  source: TokenizerSource,
  tokens: readonly AddedToken[],
  nonce: string,
): LibraryCoder {
  const file = readFileOf(source.json);
  const json = JSON.stringify({ ...file, added_tokens: [...file.added_tokens, ...tokens] });
  const coder = coderOf({ ...source, json }, nonce);
  for (const { id, content } of tokens) {
    const found = coder.idOf(content);
    if (found === id) continue;
    throw new TokenPlaceError(
      `The adapter's tokenizer gives ${JSON.stringify(content)} the id ${id}; beside the base's tokenizer it has ${found}.`,
    );
  }
  return coder;
}

/** An added token's id is not the one that it has beside the tokens that were there. */
export class TokenPlaceError extends Error {}

/** What a folder as Transformers writes it says of its tokenizer. */
export async function readTokenizer(modelPath: string): Promise<TokenizerSource> {
  return {
    json: await readFile(join(modelPath, 'tokenizer.json'), 'utf8'),
    specialTokens: {
      ...(await readSpecialTokens(join(modelPath, 'special_tokens_map.json'))),
      ...(await readSpecialTokens(join(modelPath, 'tokenizer_config.json'))),
    },
  };
}

async function readSpecialTokens(path: string): Promise<Record<string, string>> {
  const file = await readJsonIfThere(path);
  if (file === undefined) return {};
  const parsed = SpecialTokensSchema.parse(file);
  return Object.fromEntries(
    NAMED_TOKENS.flatMap((name) => {
      const token = parsed[name];
      return token === undefined ? [] : [[name, token]];
    }),
  );
}
