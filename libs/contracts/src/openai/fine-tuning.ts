import { z } from 'zod';
import { MetricsSchema } from '../fine-tune-events.js';
import { NameSchema } from '../resource.js';
import { storable } from '../storable.js';

/** `/v1/fine_tuning/jobs/...` in OpenAI's shape; times are Unix seconds. */

export const FINE_TUNING_STATUSES = ['queued', 'running', 'succeeded', 'failed', 'cancelled'] as const;
export type FineTuningStatus = (typeof FINE_TUNING_STATUSES)[number];

const hyperparameter = z.union([z.literal('auto'), z.number().positive()]);
const HyperparametersSchema = z.record(
  z.string().min(1).max(64),
  z.union([hyperparameter, z.string().max(256), z.boolean(), z.number()]),
);
const MetadataSchema = z
  .record(z.string().min(1).max(64), z.string().max(512))
  .refine((metadata) => Object.keys(metadata).length <= 16, 'expected at most 16 pairs');
const MethodSchema = z.looseObject({ type: z.enum(['supervised', 'dpo', 'reinforcement']) });

export const CreateFineTuningJobSchema = storable(
  z.strictObject({
    model: z.string().min(1).max(255).describe("The base model's name"),
    training_file: z
      .string()
      .min(1)
      .max(4096)
      .describe('A URL or an id that the trainer understands; it is handed on as it is'),
    validation_file: z.string().min(1).max(4096).nullable().optional(),
    hyperparameters: HyperparametersSchema.optional(),
    method: MethodSchema.optional(),
    suffix: NameSchema.nullable()
      .optional()
      .describe('The name of the adapter, where `adapter` does not give it'),
    adapter: NameSchema.optional().describe('Ours: the adapter that gets the new version'),
    trainer: NameSchema.optional().describe('Ours: which trainer; may be absent where there is only one'),
    seed: z.int().nullable().optional(),
    metadata: MetadataSchema.nullable().optional(),
  }),
);
export type CreateFineTuningJob = z.infer<typeof CreateFineTuningJobSchema>;

export const FineTuningJobSchema = z.object({
  id: z.string(),
  object: z.literal('fine_tuning.job'),
  created_at: z.int(),
  finished_at: z.int().nullable(),
  status: z.enum(FINE_TUNING_STATUSES),
  model: z.string(),
  /** `adapter@version` once it can be called. */
  fine_tuned_model: z.string().nullable(),
  organization_id: z.string(),
  training_file: z.string(),
  validation_file: z.string().nullable(),
  hyperparameters: z.record(z.string(), z.unknown()),
  method: z.record(z.string(), z.unknown()).nullable(),
  result_files: z.array(z.string()),
  trained_tokens: z.int().nullable(),
  estimated_finish: z.int().nullable(),
  error: z.object({ code: z.string(), message: z.string(), param: z.string().nullable() }).nullable(),
  user_provided_suffix: z.string().nullable(),
  seed: z.int(),
  integrations: z.array(z.unknown()),
  metadata: MetadataSchema.nullable(),
  adapter: NameSchema,
  trainer: NameSchema,
  /** 0 to 1, as the trainer last said. */
  progress: z.number().nullable(),
  metrics: MetricsSchema.nullable(),
});
export type FineTuningJob = z.infer<typeof FineTuningJobSchema>;

const openAiListOf = <T extends z.ZodType>(item: T) =>
  z.object({
    object: z.literal('list'),
    data: z.array(item),
    has_more: z.boolean(),
    first_id: z.string().nullable(),
    last_id: z.string().nullable(),
  });
export const FineTuningJobListSchema = openAiListOf(FineTuningJobSchema);
export type FineTuningJobList = z.infer<typeof FineTuningJobListSchema>;

export const FineTuningJobEventSchema = z.object({
  id: z.string(),
  object: z.literal('fine_tuning.job.event'),
  created_at: z.int(),
  level: z.enum(['info', 'warn', 'error']),
  message: z.string(),
  type: z.enum(['message', 'metrics']),
  data: z.record(z.string(), z.unknown()),
});
export type FineTuningJobEvent = z.infer<typeof FineTuningJobEventSchema>;
export const FineTuningJobEventListSchema = openAiListOf(FineTuningJobEventSchema);
export type FineTuningJobEventList = z.infer<typeof FineTuningJobEventListSchema>;

export const FineTuningPageSchema = z.object({
  limit: z.coerce.number().int().min(1).max(100).default(20),
  after: z.string().optional(),
});
export type FineTuningPage = z.infer<typeof FineTuningPageSchema>;
