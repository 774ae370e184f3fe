import { Tokenizer as RustTokenizer } from 'tokenizers';
import type { GuardedText } from '#jinja/chat/control-tokens.js';
import type { RenderWorkerData } from '#jinja/chat/render-thread.js';
import { guardTokenizer, type GuardedTokenizer } from './control-tokens.js';

export interface EncodedText {
  readonly ids: Int32Array;
  /** 1 where the tokenizer added the token by itself (a leading BOS, say): it is not in the text. */
  readonly added: Uint8Array;
}

export class TooManyTokensError extends Error {
  constructor(readonly tokens: number) {
    super(`the text has ${tokens} tokens`);
  }
}

/** Turns text into ids and back, off this thread. */
export interface TextCoder {
  /** What a chat's rendering has to know to find control tokens in text from outside. */
  readonly renderData: RenderWorkerData;
  /**
   * `addSpecial`: what the tokenizer puts around plain text (a BOS, say); a rendered chat already has it. Throws
   * TooManyTokensError before it copies more than `limitTokens` ids.
   */
  encode(text: string, addSpecial: boolean, limitTokens?: number): Promise<EncodedText>;
  /** A rendered chat: what its messages spell is never a control token. */
  encodeGuarded(text: GuardedText, limitTokens?: number): Promise<EncodedText>;
  /** As Transformers decodes, with special tokens. */
  decode(ids: readonly number[]): Promise<string>;
}

/** By the library that Transformers uses. Making one takes seconds of this thread for the largest vocabularies. */
export class LibraryCoder implements TextCoder {
  private constructor(
    private readonly rust: RustTokenizer,
    /** Reads control tokens only in their secret spelling; undefined: there are none. */
    private readonly guarded:
      | { readonly rust: RustTokenizer; readonly control: GuardedTokenizer }
      | undefined,
  ) {}

  /** `json`: tokenizer.json's text. `named`: bos_token, eos_token, ... by their spelling. `nonce`: as guardTokenizer's. */
  static of(json: string, named: ReadonlySet<string>, nonce?: string): LibraryCoder {
    const rust = open(json);
    const control = guardTokenizer(json, named, nonce);
    return new LibraryCoder(rust, control && { rust: openGuarded(control, rust), control });
  }

  get renderData(): RenderWorkerData {
    const control = this.guarded?.control;
    return { controlTokens: control?.controlTokens ?? [], guardAlways: control?.guardAlways ?? false };
  }

  encode(text: string, addSpecial: boolean, limitTokens?: number): Promise<EncodedText> {
    return encodeBy(this.rust, text, addSpecial, limitTokens);
  }

  encodeGuarded({ text, respelled }: GuardedText, limitTokens?: number): Promise<EncodedText> {
    const rust = respelled ? (this.guarded?.rust ?? this.rust) : this.rust;
    return encodeBy(rust, text, false, limitTokens);
  }

  decode(ids: readonly number[]): Promise<string> {
    return this.rust.decode([...ids], false);
  }

  /** Of all tokens, the added ones too. */
  get tokens(): Readonly<Record<string, number>> {
    return this.rust.getVocab(true);
  }

  nameOf(id: number): string | undefined {
    return this.rust.idToToken(id) ?? undefined;
  }

  idOf(token: string): number | undefined {
    return this.rust.tokenToId(token) ?? undefined;
  }
}

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

function open(json: string): RustTokenizer {
  const rust = RustTokenizer.fromString(json);
  rust.disableTruncation();
  rust.disablePadding();
  return rust;
}

function openGuarded({ json, controlTokens }: GuardedTokenizer, plain: RustTokenizer): RustTokenizer {
  const rust = open(json);
  for (const { content, secret } of controlTokens) {
    if (rust.tokenToId(secret) !== plain.tokenToId(content)) {
      throw new Error(`the control token ${content} cannot be kept apart from text that spells it`);
    }
  }
  return rust;
}
