import { z } from 'zod';
import type { GgufMetadata } from '#native-engine/native.js';
import { ModelError } from '../model-error.js';

/** What a GGUF file says of its tokens. */

export type TokenKind = 'normal' | 'unknown' | 'control' | 'user-defined' | 'unused' | 'byte';

export interface GgufToken {
  readonly id: number;
  readonly text: string;
  readonly kind: TokenKind;
}

/** tokenizer.ggml.token_type, from 1. */
const KINDS: readonly TokenKind[] = ['normal', 'unknown', 'control', 'user-defined', 'unused', 'byte'];

const TokenIdSchema = z.int().min(0).optional();
const VocabularySchema = z.object({
  model: z.string(),
  pre: z.string().optional(),
  tokens: z.array(z.string()).min(1),
  token_type: z.array(z.int()).optional(),
  scores: z.array(z.number()).optional(),
  merges: z.array(z.string()).optional(),
  add_bos_token: z.boolean().optional(),
  add_eos_token: z.boolean().optional(),
  add_space_prefix: z.boolean().optional(),
  remove_extra_whitespaces: z.boolean().optional(),
  precompiled_charsmap: z.unknown().optional(),
  bos_token_id: TokenIdSchema,
  eos_token_id: TokenIdSchema,
  eot_token_id: TokenIdSchema,
  eom_token_id: TokenIdSchema,
  unknown_token_id: TokenIdSchema,
  padding_token_id: TokenIdSchema,
  seperator_token_id: TokenIdSchema, // as GGUF spells it
});

export type GgufFields = z.infer<typeof VocabularySchema>;

const PREFIX = 'tokenizer.ggml.';

export function readFields(metadata: GgufMetadata): GgufFields {
  const own = Object.entries(metadata).filter(([key]) => key.startsWith(PREFIX));
  const parsed = VocabularySchema.safeParse(
    Object.fromEntries(own.map(([key, value]) => [key.slice(PREFIX.length), value])),
  );
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  throw new ModelError(`${PREFIX}${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'cannot be read'}`);
}

/** Tokens that conversion made up for ids that the tokenizer does not know. */
const PADDING = /^\[PAD\d+\]$/;

/** All but the padding. Throws ModelError for a text that two have. */
export function tokensOf({ tokens, token_type: types, scores }: GgufFields): readonly GgufToken[] {
  for (const [name, list] of [
    ['token_type', types],
    ['scores', scores],
  ] as const) {
    if (list !== undefined && list.length !== tokens.length)
      throw new ModelError(
        `${PREFIX}${name} has ${list.length} entries, but there are ${tokens.length} tokens`,
      );
  }
  const seen = new Map<string, number>();
  const kept: GgufToken[] = [];
  for (const [id, text] of tokens.entries()) {
    const kind = KINDS[(types?.[id] ?? 1) - 1] ?? 'normal';
    if (kind === 'unused' && PADDING.test(text)) continue;
    const other = seen.get(text);
    if (other !== undefined)
      throw new ModelError(`${PREFIX}tokens: ${JSON.stringify(text)} is token ${other} and token ${id}`);
    seen.set(text, id);
    kept.push({ id, text, kind });
  }
  return kept;
}

/** Of an id that the file names; throws ModelError where there is no such token. */
export function tokenText({ tokens }: GgufFields, field: string, id: number | undefined): string | undefined {
  if (id === undefined) return undefined;
  const text = tokens[id];
  if (text === undefined)
    throw new ModelError(`${PREFIX}${field} is ${id}, but there are ${tokens.length} tokens`);
  return text;
}
