import { z } from 'zod';
import { bounded, onlyKnown } from './bounded.js';
import { MOST_INPUTS } from './embeddings.js';
import { answerFields, ignoredFields, promptFields } from './generation-fields.js';

const text = z.string().min(1, 'expected a text that is not empty');
const texts = z.union([text, bounded(MOST_INPUTS, z.array(text).min(1).max(MOST_INPUTS))], {
  error: `expected a text, or an array of at most ${MOST_INPUTS} of them, none of them empty`,
});

const askedFields = {
  model: answerFields.model,
  user: answerFields.user,
  lora_scale: answerFields.lora_scale,
  truncate_prompt_tokens: promptFields.truncate_prompt_tokens.describe(
    "Keep so many of each text's last tokens; -1: as many as the context has",
  ),
  add_special_tokens: z
    .boolean()
    .nullish()
    .describe('false: a text gets no token that the tokenizer would put around it'),
  priority: promptFields.priority,
  cache_salt: promptFields.cache_salt,
  metadata: ignoredFields.metadata,
};

/** POST /v1/score: vLLM's, whose two sides have gone by several names. */
const SIDES = [
  ['text_1', 'text_2'],
  ['queries', 'documents'],
  ['queries', 'items'],
  ['data_1', 'data_2'],
] as const;

export const ScoreRequestSchema = onlyKnown({
  ...askedFields,
  text_1: texts.nullish().describe('Also `queries` or `data_1`'),
  text_2: texts.nullish().describe('Also `documents`, `items` or `data_2`'),
  queries: texts.nullish(),
  documents: texts.nullish(),
  items: texts.nullish(),
  data_1: texts.nullish(),
  data_2: texts.nullish(),
}).superRefine((request, context) => {
  const sides = sidesOf(request);
  if (sides === undefined) {
    const message = 'expected the two sides to compare, as text_1 and text_2, and nothing besides';
    context.addIssue({ code: 'custom', path: ['text_1'], message });
    return;
  }
  const [first, second] = [[sides.first].flat(), [sides.second].flat()];
  if (first.length !== 1 && first.length !== second.length) {
    const message = `expected one text, or as many as on the other side (${second.length}), got ${first.length}`;
    context.addIssue({ code: 'custom', path: [sides.names[0]], message });
  }
  if (first.length + second.length > MOST_INPUTS) {
    const message = `expected at most ${MOST_INPUTS} texts on both sides`;
    context.addIssue({ code: 'custom', path: [sides.names[1]], message });
  }
});
export type ScoreRequest = z.infer<typeof ScoreRequestSchema>;

type Texts = string | string[];
type SideFields = {
  readonly [Name in (typeof SIDES)[number][number]]?: Texts | null | undefined;
};

/** Undefined: there are not two sides. */
export function sidesOf(request: SideFields) {
  const given = [...new Set(SIDES.flat())].filter((name) => (request[name] ?? undefined) !== undefined);
  const names = SIDES.find((pair) => given.length === 2 && pair.every((name) => given.includes(name)));
  if (!names) return undefined;
  return { names, first: request[names[0]] as Texts, second: request[names[1]] as Texts };
}

const UsageSchema = z.object({ prompt_tokens: z.int(), total_tokens: z.int() });

export const ScoreResponseSchema = z.object({
  id: z.string(),
  object: z.literal('list'),
  created: z.int(),
  model: z.string(),
  data: z.array(z.object({ index: z.int(), object: z.literal('score'), score: z.number() })),
  usage: UsageSchema,
});
export type ScoreResponse = z.infer<typeof ScoreResponseSchema>;

const MOST_DOCUMENTS = MOST_INPUTS - 1;

/** POST /v1/rerank: Jina's, Cohere's and vLLM's. */
export const RerankRequestSchema = onlyKnown({
  ...askedFields,
  query: text,
  documents: bounded(
    MOST_DOCUMENTS,
    z
      .array(
        z.union([text, onlyKnown({ text })], {
          error: 'expected a text that is not empty, or an object with one as `text`',
        }),
      )
      .min(1)
      .max(MOST_DOCUMENTS),
  ),
  top_n: z.int().min(0).nullish().describe('The most relevant so many; all when absent or 0'),
  return_documents: z.boolean().nullish().describe('false: results name documents by their index alone'),
});
export type RerankRequest = z.infer<typeof RerankRequestSchema>;

export const RerankResponseSchema = z.object({
  id: z.string(),
  model: z.string(),
  results: z.array(
    z.object({
      index: z.int(),
      document: z.object({ text: z.string() }).optional(),
      relevance_score: z.number(),
    }),
  ),
  usage: UsageSchema,
});
export type RerankResponse = z.infer<typeof RerankResponseSchema>;
