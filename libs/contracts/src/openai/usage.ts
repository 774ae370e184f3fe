import { z } from 'zod';

export const CompletionUsageSchema = z.object({
  prompt_tokens: z.int(),
  completion_tokens: z.int(),
  total_tokens: z.int(),
  prompt_tokens_details: z.object({ cached_tokens: z.int() }),
});
export type CompletionUsage = z.infer<typeof CompletionUsageSchema>;

/** `stop_reason`, vLLM's: the stop string or token id that ended the choice; null at the end of the sequence. */
export const StopReasonSchema = z.union([z.string(), z.int(), z.null()]);
