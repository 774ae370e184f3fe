import { z } from 'zod';
import { listOf, NameSchema, TimeSchema } from './resource.js';

/** A version merged into the weights of the base, as a checkpoint that is kept for a while. */

export const MERGE_STATES = ['queued', 'running', 'ready', 'failed', 'expired'] as const;
export type MergeState = (typeof MERGE_STATES)[number];

export const StartMergeSchema = z
  .strictObject({
    dequantize: z
      .boolean()
      .default(false)
      .describe('Of a quantized base: merge into its weights as bfloat16, instead of refusing it'),
    any_base: z
      .boolean()
      .default(false)
      .describe("Merge into the server's checkpoint also where it is not the base that is served, but fits"),
  })
  .prefault({});
export type StartMerge = z.infer<typeof StartMergeSchema>;

export const MergeSchema = z.object({
  id: z.string(),
  object: z.literal('merge'),
  adapter: NameSchema,
  version: z.int(),
  /** Of the version on the base. */
  digest: z.string(),
  base_model: z.string(),
  base_digest: z.string(),
  dequantize: z.boolean(),
  any_base: z.boolean(),
  /** `queued -> running -> ready | failed`; a ready one is `expired` once its checkpoint is gone. */
  state: z.enum(MERGE_STATES),
  /** Of `progress.total` bytes of weights; null before it runs. */
  progress: z.object({ done: z.int(), total: z.int() }).nullable(),
  attempts: z.int(),
  /** Why it failed. */
  failure: z.string().nullable(),
  /** Of the archive, and its SHA-256; null until it is ready. */
  bytes: z.int().nullable(),
  sha256: z.string().nullable(),
  /** Modules that the version changed. */
  changed: z.int().nullable(),
  created_at: TimeSchema,
  finished_at: TimeSchema.nullable(),
  /** When the checkpoint goes. */
  expires_at: TimeSchema.nullable(),
});
export type MergeResource = z.infer<typeof MergeSchema>;
export const MergeListSchema = listOf(MergeSchema);
