import { z } from 'zod';

export const CompletionUsageSchema = z.object({
  prompt_tokens: z.int(),
  completion_tokens: z.int(),
  total_tokens: z.int(),
  prompt_tokens_details: z.object({
    cached_tokens: z.int(),
    adapter_tokens: z
      .int()
      .optional()
      .describe('Of an activated LoRA (aLoRA): those from its invocation on; 0: the base model answered'),
  }),
  completion_tokens_details: z
    .object({ accepted_prediction_tokens: z.int(), rejected_prediction_tokens: z.int() })
    .optional()
    .describe('Of a `prediction`: tokens guessed from it that were right, and that were not'),
});
export type CompletionUsage = z.infer<typeof CompletionUsageSchema>;

/** One entry for each token of the prompt, null for the first: log-probabilities by token id. */
export const PromptLogprobsSchema = z.array(
  z
    .record(
      z.string(),
      z.object({
        logprob: z.number(),
        rank: z.int().nullable().describe('1 for the most likely; null: beyond those asked for'),
        decoded_token: z.string(),
      }),
    )
    .nullable(),
);
export type PromptLogprobs = z.infer<typeof PromptLogprobsSchema>;

/** OpenAI's: what the request was treated as; absent where it did not say. */
export const ServiceTierSchema = z.enum(['default', 'flex', 'priority']);
export type ServiceTier = z.infer<typeof ServiceTierSchema>;

/** `stop_reason`, vLLM's: the stop string or token id that ended the choice; null at the end of the sequence. */
export const StopReasonSchema = z.union([z.string(), z.int(), z.null()]);
