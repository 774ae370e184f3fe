import { z } from 'zod';
import { ERROR_CODES } from './errors.js';
import { listOf, PageQuerySchema, TimeSchema } from './resource.js';

/** `/v1/request-log`, `/v1/requests`: what a tenant's callers asked lately, where the tenant wants that kept. */

export const RequestLogSchema = z.object({
  object: z.literal('request_log'),
  enabled: z.boolean(),
  /** Whether prompts and answers are kept too. */
  text: z.boolean(),
  retention_hours: z.int(),
});
export type RequestLogResource = z.infer<typeof RequestLogSchema>;

export const PutRequestLogSchema = z.strictObject({
  enabled: z.boolean().describe('Keep what is known of each request: model, times, tokens, error'),
  text: z
    .boolean()
    .default(false)
    .describe('Keep prompts and answers too; false erases those that were kept'),
  retention_hours: z.int().min(1).max(2160).default(168).describe('Older ones are deleted'),
});
export type PutRequestLog = z.infer<typeof PutRequestLogSchema>;

/** A prompt as it can be sent again. */
const InputSchema = z.union([
  z.object({ messages: z.array(z.looseObject({ role: z.string() })) }),
  z.object({ prompt: z.union([z.string(), z.array(z.int())]), suffix: z.string().optional() }),
]);

export const LoggedRequestSchema = z.object({
  id: z.string(),
  object: z.literal('request'),
  /** When it ended. */
  created_at: TimeSchema,
  /** The `x-request-id` of its answer. */
  request_id: z.string(),
  key_id: z.string(),
  model: z.string(),
  /** What served it; null: the base model, or nothing. */
  adapter: z.string().nullable(),
  version: z.int().nullable(),
  kind: z.enum(['chat', 'completion', 'embedding']),
  /** Null: it was answered. */
  code: z.enum(ERROR_CODES).nullable(),
  finish_reason: z.string().nullable(),
  prompt_tokens: z.int(),
  cached_tokens: z.int(),
  completion_tokens: z.int(),
  queue_ms: z.number().nullable(),
  ttft_ms: z.number().nullable(),
  tpot_ms: z.number().nullable(),
  total_ms: z.number(),
  /** Null in lists, and where no text is kept; of several prompts, the first. */
  input: InputSchema.nullable(),
  /** One for each answer; null as `input` is. */
  outputs: z.array(z.string()).nullable(),
  /** The prompt was too long to be kept, or answers are cut. */
  text_cut: z.boolean(),
});
export type LoggedRequest = z.infer<typeof LoggedRequestSchema>;
export const LoggedRequestListSchema = listOf(LoggedRequestSchema);

export const LoggedRequestsQuerySchema = PageQuerySchema.extend({
  model: z.string().optional().describe('Only those that named this model'),
  failed: z
    .enum(['true', 'false'])
    .optional()
    .describe('Only those that ended with an error, or only others'),
}).strict();
export type LoggedRequestsQuery = z.infer<typeof LoggedRequestsQuerySchema>;

export const ClearedSchema = z.object({ object: z.literal('request_log'), deleted: z.int() });
