import type { AddedToken } from '#contracts/adapter-manifest.js';
import type { GuardedText } from '#jinja/chat/control-tokens.js';
import type { RenderWorkerData } from '#jinja/chat/render-thread.js';
import type { EncodedText } from './text-coder.js';
import type { TokenizerSource } from './tokenizer.js';

/** What the thread of an adapter's tokenizer is made of. */
export interface AddedTokensData {
  readonly source: TokenizerSource;
  readonly tokens: readonly AddedToken[];
  readonly nonce: string;
}

export type CoderCall =
  | { readonly encode: string; readonly addSpecial: boolean; readonly limitTokens: number }
  | { readonly guarded: GuardedText; readonly limitTokens: number }
  | { readonly decode: readonly number[] };

export type CoderValue = EncodedText | string;

/** `misplaced`: its tokens cannot be added, and why. Else the first message; then an answer for each call. */
export type CoderMessage =
  | { readonly ready: RenderWorkerData }
  | { readonly misplaced: string }
  | { readonly call: number; readonly value: CoderValue }
  | { readonly call: number; readonly tooMany: number }
  | { readonly call: number; readonly failure: string };
