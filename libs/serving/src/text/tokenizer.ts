import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Tokenizer as RustTokenizer } from 'tokenizers';
import { z } from 'zod';
import type { AddedToken } from '#contracts/adapter-manifest.js';
import { AppError } from '#runtime/app-error.js';
import type { RenderWorkerData } from '#jinja/chat/render-thread.js';
import type { GuardedText } from '#jinja/chat/control-tokens.js';
import { guardTokenizer, type GuardedTokenizer } from './control-tokens.js';
import { readJsonIfThere } from './json-file.js';
import { tokenBytesRule } from './token-bytes.js';

export interface EncodedText {
  readonly ids: Int32Array;
  /** 1 where the tokenizer added the token by itself (a leading BOS, say): it is not in the text. */
  readonly added: Uint8Array;
}

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

export class TooManyTokensError extends Error {
  constructor(readonly tokens: number) {
    super(`the text has ${tokens} tokens`);
  }
}

/** The base model's tokenizer: text to ids off this thread, and for each id the bytes that it stands for. */
export class Tokenizer {
  readonly #bytes: (Uint8Array | undefined)[];
  /** Text of the tokens whose bytes are whole characters; undefined for the others. */
  readonly #wholeText: (string | undefined)[];
  readonly #special: Uint8Array;

  private constructor(
    private readonly rust: RustTokenizer,
    /** Reads control tokens only in their secret spelling; undefined: there are none. */
    private readonly guarded:
      | { readonly rust: RustTokenizer; readonly control: GuardedTokenizer }
      | undefined,
    tokenizerFile: z.infer<typeof TokenizerFileSchema>,
    private readonly source: TokenizerSource,
  ) {
    const { specialTokens } = source;
    this.specialTokens = specialTokens;
    const rule = tokenBytesRule(tokenizerFile.decoder);
    this.stripsLeadingSpace = rule.stripsLeadingSpace;
    const vocabulary = Object.entries(rust.getVocab(true));
    const size = vocabulary.reduce((most, [, id]) => Math.max(most, id + 1), 0);
    this.#bytes = Array.from({ length: size });
    this.#wholeText = Array.from({ length: size });
    const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
    let longest = 1;
    for (const [token, id] of vocabulary) {
      const bytes = rule.toBytes(token);
      longest = Math.max(longest, token.length, bytes.length);
      this.#bytes[id] = bytes;
      this.#wholeText[id] = wholeText(strict, bytes);
    }
    this.longestToken = longest;
    this.#special = new Uint8Array(size);
    const named = new Set(Object.values(specialTokens));
    for (const { id, content, special } of tokenizerFile.added_tokens) {
      if (special || named.has(content)) this.#special[id] = 1;
    }
  }

  /** bos_token, eos_token, ...: as chat templates name them. */
  readonly specialTokens: Readonly<Record<string, string>>;
  readonly stripsLeadingSpace: boolean;
  /** No token stands for more characters than this. */
  readonly longestToken: number;

  /** Of a folder that holds tokenizer.json. */
  static async load(modelPath: string): Promise<Tokenizer> {
    return Tokenizer.of(await readTokenizer(modelPath));
  }

  static of(source: TokenizerSource): Tokenizer {
    const { json, specialTokens } = source;
    const file = TokenizerFileSchema.parse(JSON.parse(json));
    const rust = RustTokenizer.fromString(json);
    rust.disableTruncation();
    rust.disablePadding();
    const guarded = loadGuarded(json, new Set(Object.values(specialTokens)), rust);
    return new Tokenizer(rust, guarded, file, source);
  }

  /** The same with more tokens, whose ids go on from its own. */
  withAdded(tokens: readonly AddedToken[]): Tokenizer {
    const file = TokenizerFileSchema.parse(JSON.parse(this.source.json));
    const json = JSON.stringify({ ...file, added_tokens: [...file.added_tokens, ...tokens] });
    const tokenizer = Tokenizer.of({ ...this.source, json });
    for (const { id, content } of tokens) {
      const found = tokenizer.idOf(content);
      if (found === id) continue;
      const message = `The adapter's tokenizer gives ${JSON.stringify(content)} the id ${id}; beside the base's tokenizer it has ${found}.`;
      throw new AppError('invalid_request', { message, param: 'model' });
    }
    return tokenizer;
  }

  /** Ids from 0 to here are known; the model's vocabulary may be larger. */
  get size(): number {
    return this.#bytes.length;
  }

  /** What a chat's rendering has to know to find control tokens in text from outside. */
  get renderData(): RenderWorkerData {
    const control = this.guarded?.control;
    return { controlTokens: control?.controlTokens ?? [], guardAlways: control?.guardAlways ?? false };
  }

  /** `addSpecial`: what the tokenizer puts around plain text (a BOS, say); a rendered chat already has it. */
  async encode(text: string, addSpecial: boolean, limitTokens?: number): Promise<EncodedText> {
    return encodeBy(this.rust, text, addSpecial, limitTokens);
  }

  /** A rendered chat: what its messages spell is never a control token. */
  async encodeGuarded({ text, respelled }: GuardedText, limitTokens?: number): Promise<EncodedText> {
    const rust = respelled ? (this.guarded?.rust ?? this.rust) : this.rust;
    return encodeBy(rust, text, false, limitTokens);
  }

  /** As Transformers decodes, with special tokens. */
  decode(ids: readonly number[]): Promise<string> {
    return this.rust.decode([...ids], false);
  }

  /** As the vocabulary spells it; empty for an id that the tokenizer does not know. */
  nameOf(id: number): string {
    return this.rust.idToToken(id) ?? '';
  }

  idOf(token: string): number | undefined {
    return this.rust.tokenToId(token) ?? undefined;
  }

  /** Of those of the spellings that are tokens. */
  idsOf(tokens: readonly string[]): ReadonlySet<number> {
    return new Set(tokens.map((token) => this.idOf(token)).filter((id) => id !== undefined));
  }

  /** Special tokens count, but are not part of the text. */
  isSpecial(id: number): boolean {
    return this.#special[id] === 1;
  }

  /** Empty for an id that the tokenizer does not know (padding of the model's vocabulary). */
  bytesOf(id: number): Uint8Array {
    return this.#bytes[id] ?? NO_BYTES;
  }

  /** The token's text when its bytes are whole characters. */
  wholeTextOf(id: number): string | undefined {
    return this.#bytes[id] === undefined ? '' : this.#wholeText[id];
  }

  /** The token's text by itself: U+FFFD where its bytes are no whole characters. */
  textOf(id: number): string {
    return this.wholeTextOf(id) ?? lossy.decode(this.bytesOf(id));
  }
}

/** Throws TooManyTokensError before it copies more than `limitTokens` ids. */
async function encodeBy(
  rust: RustTokenizer,
  text: string,
  addSpecialTokens: boolean,
  limitTokens = Number.POSITIVE_INFINITY,
): Promise<EncodedText> {
  const encoding = await rust.encode(text, null, { addSpecialTokens });
  const tokens = encoding.getLength();
  if (tokens > limitTokens) throw new TooManyTokensError(tokens);
  return {
    ids: Int32Array.from(encoding.getIds()),
    added: Uint8Array.from(encoding.getSpecialTokensMask()),
  };
}

function loadGuarded(json: string, named: ReadonlySet<string>, plain: RustTokenizer) {
  const control = guardTokenizer(json, named);
  if (control === undefined) return undefined;
  const rust = RustTokenizer.fromString(control.json);
  rust.disableTruncation();
  rust.disablePadding();
  for (const { content, secret } of control.controlTokens) {
    if (rust.tokenToId(secret) !== plain.tokenToId(content)) {
      throw new Error(`the control token ${content} cannot be kept apart from text that spells it`);
    }
  }
  return { rust, control };
}

const NO_BYTES = new Uint8Array(0);
const lossy = new TextDecoder('utf-8', { ignoreBOM: true });

function wholeText(strict: TextDecoder, bytes: Uint8Array): string | undefined {
  try {
    return strict.decode(bytes);
  } catch {
    return undefined;
  }
}

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
