import { z } from 'zod';
import { onlyKnown } from './bounded.js';
import { inputField } from './completion-request.js';
import { answerFields, ignoredFields, promptFields } from './generation-fields.js';

/** OpenAI's limit of one request. */
export const MOST_INPUTS = 2_048;
const MOST_DIMENSIONS = 65_536;

/** POST /v1/embeddings. */
export const EmbeddingsRequestSchema = onlyKnown({
  model: answerFields.model,
  user: answerFields.user,
  lora_scale: answerFields.lora_scale,
  input: inputField(MOST_INPUTS, 'inputs'),
  encoding_format: z.enum(['float', 'base64']).nullish(),
  dimensions: z
    .int()
    .min(1)
    .max(MOST_DIMENSIONS)
    .nullish()
    .describe('Keeps so many of the first numbers; the vector has length 1 again where it had'),
  add_special_tokens: z
    .boolean()
    .nullish()
    .describe('false: a text gets no token that the tokenizer would put around it'),
  truncate_prompt_tokens: promptFields.truncate_prompt_tokens.describe(
    "Keep so many of each input's last tokens; -1: as many as the context has",
  ),
  priority: promptFields.priority,
  cache_salt: promptFields.cache_salt,
  metadata: ignoredFields.metadata,
}).superRefine(({ input }, context) => {
  const texts = [input].flat();
  const empty = texts.indexOf('');
  if (empty < 0) return;
  const path = typeof input === 'string' ? ['input'] : ['input', empty];
  context.addIssue({ code: 'custom', path, message: 'expected a text that is not empty' });
});
export type EmbeddingsRequest = z.infer<typeof EmbeddingsRequestSchema>;

export const EmbeddingsResponseSchema = z.object({
  object: z.literal('list'),
  data: z.array(
    z.object({
      object: z.literal('embedding'),
      index: z.int(),
      embedding: z
        .union([z.array(z.number()), z.string()])
        .describe('With encoding_format base64: float32 in little-endian order'),
    }),
  ),
  model: z.string(),
  usage: z.object({ prompt_tokens: z.int(), total_tokens: z.int() }),
});
export type EmbeddingsResponse = z.infer<typeof EmbeddingsResponseSchema>;
