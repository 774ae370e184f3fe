import { z } from 'zod';
import type { AddedToken } from '#contracts/adapter-manifest.js';
import type { AdapterProblem, AdapterWarning } from '#contracts/adapter-report.js';
import type { BaseModel } from '#contracts/base-model.js';

/*
 * Tokens that the adapter's tokenizer has beside the base's: tokenizer.json has all of them; without it, what Transformers 4
 * wrote beside it. What the base's tokenizer knows counts as the base has it.
 */

const MAX_CHARACTERS = 1_000;
const content = z.string().min(1).max(MAX_CHARACTERS);
const FLAGS = {
  special: z.boolean().default(false),
  lstrip: z.boolean().default(false),
  rstrip: z.boolean().default(false),
  single_word: z.boolean().default(false),
  normalized: z.boolean().default(false),
};
const TokenizerSchema = z.looseObject({
  added_tokens: z.array(z.looseObject({ id: z.int().nonnegative(), content, ...FLAGS })).default([]),
});
const ConfigSchema = z.looseObject({
  added_tokens_decoder: z
    .record(z.string().regex(/^\d{1,9}$/), z.looseObject({ content, ...FLAGS }))
    .nullish(),
});
const AddedSchema = z.record(z.string().min(1).max(MAX_CHARACTERS), z.int().nonnegative());

export interface TokenizerFiles {
  readonly tokenizer: string | undefined;
  readonly config: string | undefined;
  readonly added: string | undefined;
}

export interface AddedTokensReading {
  readonly tokens: readonly AddedToken[];
  readonly errors: readonly AdapterProblem[];
  readonly warnings: readonly AdapterWarning[];
}

/** `base` with the adapter's vocabulary: tokens beyond it have no rows. */
export function readAddedTokens(
  files: TokenizerFiles,
  { tokenizerSize, vocabSize }: Pick<BaseModel, 'tokenizerSize' | 'vocabSize'>,
): AddedTokensReading {
  if (tokenizerSize === undefined) return { tokens: [], errors: [], warnings: [] };
  const read = allAdded(files);
  if ('error' in read) return { tokens: [], errors: [read.error], warnings: [] };
  const added = read.tokens.filter(({ id }) => id >= tokenizerSize).sort((a, b) => a.id - b.id);
  // A tokenizer numbers what is added to it without gaps.
  const tokens = added.filter(({ id }, at) => id === tokenizerSize + at && id < vocabSize);
  const [left] = added.slice(tokens.length);
  const warnings: AdapterWarning[] = [];
  if (left !== undefined) {
    const { id } = left;
    const why = id >= vocabSize ? `there are rows for ${vocabSize} tokens` : 'a token before it is missing';
    const message = `The tokenizer's token ${id} (${JSON.stringify(left.content)}) and what follows it are left out: ${why}.`;
    warnings.push({ code: 'added_token_unused', message });
  }
  return { tokens, errors: [], warnings };
}

function allAdded(
  files: TokenizerFiles,
): { readonly tokens: AddedToken[] } | { readonly error: AdapterProblem } {
  const { tokenizer, config, added } = files;
  if (tokenizer !== undefined) {
    const parsed = parse('tokenizer.json', tokenizer, TokenizerSchema);
    return 'error' in parsed ? parsed : { tokens: parsed.value.added_tokens.map(plain) };
  }
  const decoder = config === undefined ? undefined : parse('tokenizer_config.json', config, ConfigSchema);
  if (decoder !== undefined && 'error' in decoder) return decoder;
  const listed = Object.entries(decoder?.value.added_tokens_decoder ?? {});
  if (listed.length > 0) return { tokens: listed.map(([id, token]) => plain({ ...token, id: Number(id) })) };
  if (added === undefined) return { tokens: [] };
  const parsed = parse('added_tokens.json', added, AddedSchema);
  if ('error' in parsed) return parsed;
  // It says nothing but the spelling; Transformers takes such tokens for special ones.
  const flags = { special: true, lstrip: false, rstrip: false, single_word: false, normalized: false };
  return { tokens: Object.entries(parsed.value).map(([text, id]) => ({ ...flags, id, content: text })) };
}

const plain = ({ id, content: text, special, lstrip, rstrip, single_word, normalized }: AddedToken) => ({
  id,
  content: text,
  special,
  lstrip,
  rstrip,
  single_word,
  normalized,
});

function parse<T>(
  file: string,
  text: string,
  schema: z.ZodType<T>,
): { readonly value: T } | { readonly error: AdapterProblem } {
  const fault = (message: string) => ({
    error: { code: 'tokenizer_invalid' as const, message: `${file} ${message}.` },
  });
  let value: unknown;
  try {
    value = JSON.parse(text); // Transformers writes what is no strict JSON, such as 1e30 for no limit of length
  } catch {
    return fault('is not JSON');
  }
  const parsed = schema.safeParse(value);
  if (parsed.success) return { value: parsed.data };
  const [issue] = parsed.error.issues;
  return fault(`has tokens that cannot be read: ${issue?.path.join('.')}: ${issue?.message}`);
}
