import { z } from 'zod';
import { OutputItemSchema } from './items.js';

export const ResponseUsageSchema = z.object({
  input_tokens: z.int(),
  input_tokens_details: z.object({ cached_tokens: z.int(), cache_write_tokens: z.int() }),
  output_tokens: z.int(),
  output_tokens_details: z.object({ reasoning_tokens: z.int() }),
  total_tokens: z.int(),
});

/** OpenAI's `response`. */
export const ResponseSchema = z.object({
  id: z.string(),
  object: z.literal('response'),
  created_at: z.int(),
  status: z.enum(['in_progress', 'completed', 'incomplete', 'failed']),
  completed_at: z.int().nullable(),
  error: z.object({ code: z.string(), message: z.string() }).nullable(),
  incomplete_details: z.object({ reason: z.literal('max_output_tokens') }).nullable(),
  instructions: z.string().nullable(),
  max_output_tokens: z.int().nullable(),
  model: z.string(),
  output: z.array(OutputItemSchema),
  parallel_tool_calls: z.boolean(),
  previous_response_id: z.string().nullable(),
  reasoning: z.object({ effort: z.string().nullable(), summary: z.string().nullable() }),
  store: z.boolean(),
  temperature: z.number(),
  text: z.object({ format: z.looseObject({ type: z.string() }), verbosity: z.literal('medium') }),
  tool_choice: z.unknown(),
  tools: z.array(z.looseObject({ type: z.literal('function'), name: z.string() })),
  top_logprobs: z.int(),
  top_p: z.number(),
  truncation: z.enum(['auto', 'disabled']),
  usage: ResponseUsageSchema.nullable(),
  user: z.string().nullable(),
  metadata: z.record(z.string(), z.string()),
  background: z.literal(false),
  service_tier: z.string(),
  prompt_cache_key: z.string().nullable(),
  safety_identifier: z.string().nullable(),
  system_fingerprint: z.string(),
});
export type ResponseResource = z.infer<typeof ResponseSchema>;

const InputItemResourceSchema = z.looseObject({ id: z.string(), type: z.string() });
export type InputItemResource = z.infer<typeof InputItemResourceSchema>;
export const InputItemListSchema = z.object({
  object: z.literal('list'),
  data: z.array(InputItemResourceSchema),
  first_id: z.string().nullable(),
  last_id: z.string().nullable(),
  has_more: z.boolean(),
});
export const InputItemQuerySchema = z.object({
  limit: z.coerce.number().int().min(1).max(100).default(20),
  after: z.string().optional(),
  order: z.enum(['asc', 'desc']).default('desc'),
});
export type InputItemQuery = z.infer<typeof InputItemQuerySchema>;
