import { z } from 'zod';
import { choiceOfModel, ModelResultSchema } from './many-models.js';
import { CompletionUsageSchema, PromptLogprobsSchema, ServiceTierSchema, StopReasonSchema } from './usage.js';

/** Parallel lists, one entry for each token. `text_offset` counts Unicode code points from the start of `text`. */
export const CompletionLogprobsSchema = z.object({
  tokens: z.array(z.string()),
  token_logprobs: z.array(z.number().nullable()),
  top_logprobs: z.array(z.record(z.string(), z.number()).nullable()),
  text_offset: z.array(z.int()),
});
export type CompletionLogprobs = z.infer<typeof CompletionLogprobsSchema>;

export const CompletionChoiceSchema = z.object({
  index: z.int(),
  text: z.string(),
  logprobs: CompletionLogprobsSchema.nullable(),
  finish_reason: z.enum(['stop', 'length', 'error']).nullable(),
  stop_reason: StopReasonSchema,
  token_ids: z.array(z.int()).optional(),
  prompt_token_ids: z.array(z.int()).optional(),
  prompt_logprobs: PromptLogprobsSchema.optional(),
  ...choiceOfModel,
});
export type CompletionChoice = z.infer<typeof CompletionChoiceSchema>;

/** The answer of /v1/completions, and each chunk of its stream. */
export const CompletionSchema = z.object({
  id: z.string(),
  object: z.literal('text_completion'),
  created: z.int(),
  model: z.string(),
  system_fingerprint: z.string(),
  service_tier: ServiceTierSchema.optional(),
  choices: z.array(CompletionChoiceSchema),
  usage: CompletionUsageSchema.nullable().optional(),
  models: z.array(ModelResultSchema).optional().describe('Only where several `models` were asked'),
});
export type Completion = z.infer<typeof CompletionSchema>;
