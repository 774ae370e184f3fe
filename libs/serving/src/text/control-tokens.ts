import { randomBytes } from 'node:crypto';
import { z } from 'zod';
import type { ControlToken } from '#jinja/chat/control-tokens.js';

/*
 * Tokens that steer the model (begin a turn, end a text) must come from the template and never from the text of a
 * message. Where such text spells one, the prompt is encoded by a second tokenizer that is the first one with every
 * control token under a secret spelling: the template's are respelled before, and what the text spells is ordinary text.
 * Nothing else differs, so all other tokens stay those that Transformers gives.
 */

const AddedTokenSchema = z.looseObject({
  content: z.string(),
  special: z.boolean().default(false),
  normalized: z.boolean().default(false),
  single_word: z.boolean().default(false),
});

const FileSchema = z.looseObject({
  added_tokens: z.array(AddedTokenSchema).default([]),
  normalizer: z.looseObject({ type: z.string() }).nullish(),
  model: z.looseObject({
    type: z.string().optional(),
    vocab: z.union([z.record(z.string(), z.int()), z.array(z.tuple([z.string(), z.number()]))]),
    merges: z.array(z.union([z.string(), z.array(z.string())])).optional(),
    unk_token: z.string().nullish(),
  }),
});

/** Some checkpoints do not flag the tokens of turns and tools as special; these spellings are no ordinary text. */
const LOOKS_LIKE_CONTROL = /^(?:<[|｜].*[|｜]>|\[\/?[A-Z_]+\]|<\/?s>|<(?:start|end)_of_\w+>)$/su;

export interface GuardedTokenizer {
  readonly controlTokens: readonly ControlToken[];
  /** Spellings other than a token's own may become it: text from outside is never compared, always guarded. */
  readonly guardAlways: boolean;
  /** tokenizer.json with the secret spellings. */
  readonly json: string;
}

export const newNonce = (): string => randomBytes(16).toString('hex');

/**
 * `named`: bos_token, eos_token, ... by their spelling. `nonce`: makes the spellings secret. Undefined when there are no
 * control tokens.
 */
export function guardTokenizer(
  json: string,
  named: ReadonlySet<string>,
  nonce = newNonce(),
): GuardedTokenizer | undefined {
  const file = FileSchema.parse(JSON.parse(json));
  const isControl = (token: z.infer<typeof AddedTokenSchema>): boolean =>
    token.special || named.has(token.content) || LOOKS_LIKE_CONTROL.test(token.content);
  const control = file.added_tokens.filter((token) => isControl(token) && token.content !== '');
  if (control.length === 0) return undefined;
  const secrets = new Map(control.map(({ content }, i) => [content, `\uE000${nonce}${i}\uE001`]));
  const respelled = (content: string): string => secrets.get(content) ?? content;
  return {
    controlTokens: [...secrets].map(([content, secret]) => ({ content, secret })),
    guardAlways: control.some(({ normalized }) => normalized) && !keepsSpelling(file.normalizer),
    json: JSON.stringify({
      ...file,
      added_tokens: file.added_tokens.map((token) =>
        secrets.has(token.content)
          ? { ...token, content: respelled(token.content), normalized: false, single_word: false }
          : token,
      ),
      model: respelledModel(file.model, secrets, respelled),
      post_processor: null,
    }),
  };
}

/** Also the model's own vocabulary: it could otherwise build the token from pieces of ordinary text. */
function respelledModel(
  model: z.infer<typeof FileSchema>['model'],
  secrets: ReadonlyMap<string, string>,
  respelled: (content: string) => string,
) {
  const { vocab, merges, unk_token } = model;
  return {
    ...model,
    vocab: Array.isArray(vocab)
      ? vocab.map(([piece, score]) => [respelled(piece), score])
      : Object.fromEntries(Object.entries(vocab).map(([piece, id]) => [respelled(piece), id])),
    ...(merges && { merges: merges.filter((merge) => !secrets.has(mergedText(merge))) }),
    ...(typeof unk_token === 'string' && { unk_token: respelled(unk_token) }),
  };
}

function mergedText(merge: string | readonly string[]): string {
  return typeof merge === 'string' ? merge.replace(' ', '') : merge.join('');
}

const SPELLING_KEPT: ReadonlySet<string> = new Set(['Prepend', 'Replace']);

/** These normalizers only put marks for spaces. */
function keepsSpelling(normalizer: z.infer<typeof FileSchema>['normalizer']): boolean {
  if (normalizer === null || normalizer === undefined) return true;
  if (normalizer.type !== 'Sequence') return SPELLING_KEPT.has(normalizer.type);
  const steps = z.array(z.looseObject({ type: z.string() })).safeParse(normalizer.normalizers);
  return steps.success && steps.data.every(({ type }) => SPELLING_KEPT.has(type));
}
