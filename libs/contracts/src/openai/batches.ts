import { z } from 'zod';
import { storable } from '../storable.js';
import { ExpiresAfterSchema, openAiListOf } from './files.js';

/** `/v1/batches` in OpenAI's shape; times are Unix seconds. */

export const BATCH_ENDPOINTS = [
  '/v1/chat/completions',
  '/v1/completions',
  '/v1/embeddings',
  '/v1/responses',
] as const;
export type BatchEndpoint = (typeof BATCH_ENDPOINTS)[number];

export const BATCH_STATUSES = [
  'validating',
  'failed',
  'in_progress',
  'finalizing',
  'completed',
  'expired',
  'cancelling',
  'cancelled',
] as const;
export type BatchStatus = (typeof BATCH_STATUSES)[number];

const MetadataSchema = z
  .record(z.string().min(1).max(64), z.string().max(512))
  .refine((metadata) => Object.keys(metadata).length <= 16, 'expected at most 16 pairs');

export const CreateBatchSchema = storable(
  z.strictObject({
    input_file_id: z.string().min(1).max(64),
    endpoint: z.enum(BATCH_ENDPOINTS),
    completion_window: z.literal('24h', { error: 'only 24h is supported' }),
    metadata: MetadataSchema.nullable().optional(),
    output_expires_after: ExpiresAfterSchema.nullable()
      .optional()
      .describe('How long the files that it makes are kept after they are made'),
  }),
);
export type CreateBatch = z.infer<typeof CreateBatchSchema>;

/** What is wrong with a line of the input file, or with all of it. */
export const BatchErrorSchema = z.object({
  code: z.string(),
  message: z.string(),
  param: z.string().nullable(),
  line: z.int().nullable(),
});
export type BatchError = z.infer<typeof BatchErrorSchema>;

const TimeSchema = z.int().nullable();

export const BatchSchema = z.object({
  id: z.string(),
  object: z.literal('batch'),
  endpoint: z.enum(BATCH_ENDPOINTS),
  model: z.string().nullable().describe('Of all its lines; null: they differ, or are not read yet'),
  errors: z.object({ object: z.literal('list'), data: z.array(BatchErrorSchema) }).nullable(),
  input_file_id: z.string(),
  completion_window: z.literal('24h'),
  status: z.enum(BATCH_STATUSES),
  output_file_id: z.string().nullable(),
  error_file_id: z.string().nullable(),
  created_at: z.int(),
  in_progress_at: TimeSchema,
  expires_at: TimeSchema,
  finalizing_at: TimeSchema,
  completed_at: TimeSchema,
  failed_at: TimeSchema,
  expired_at: TimeSchema,
  cancelling_at: TimeSchema,
  cancelled_at: TimeSchema,
  request_counts: z.object({ total: z.int(), completed: z.int(), failed: z.int() }),
  usage: z.object({
    input_tokens: z.int(),
    input_tokens_details: z.object({ cached_tokens: z.int() }),
    output_tokens: z.int(),
    output_tokens_details: z.object({ reasoning_tokens: z.int() }),
    total_tokens: z.int(),
  }),
  metadata: MetadataSchema.nullable(),
});
export type BatchResource = z.infer<typeof BatchSchema>;

export const BatchListSchema = openAiListOf(BatchSchema);
export type BatchList = z.infer<typeof BatchListSchema>;

export const BatchQuerySchema = z.object({
  limit: z.coerce.number().int().min(1).max(100).default(20),
  after: z.string().optional().describe("The last page's last_id"),
});
export type BatchQuery = z.infer<typeof BatchQuerySchema>;
