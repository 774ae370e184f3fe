import { z } from 'zod';
import { NameSchema } from './resource.js';

/** What a fine-tune pipeline or trainer posts to `/v1/hooks/fine-tune/{id}`, signed by Standard Webhooks. */

const WebUrlSchema = z
  .string()
  .max(4096)
  .refine(
    (text) => URL.canParse(text) && /^https?:$/.test(new URL(text).protocol),
    'expected an http(s) URL',
  );

const SourceUrlSchema = z
  .string()
  .max(4096)
  .regex(/^(https?|s3|hf):\/\/\S+$/, 'expected https://..., s3://... or hf://org/repo@revision');

/** Where the trained adapter lies: its two files, or a folder that holds both. */
export const ArtifactSchema = z
  .strictObject({
    config_url: WebUrlSchema.optional().describe('Of adapter_config.json'),
    weights_url: WebUrlSchema.optional().describe('Of adapter_model.safetensors'),
    url: SourceUrlSchema.optional().describe('A folder that holds both: https, s3 or hf'),
  })
  .superRefine(({ config_url, weights_url, url }, context) => {
    const pair = config_url !== undefined && weights_url !== undefined;
    const none = config_url === undefined && weights_url === undefined;
    if (url === undefined ? pair : none) return;
    context.addIssue('expected either config_url and weights_url, or url alone');
  });
export type Artifact = z.infer<typeof ArtifactSchema>;

export const MetricsSchema = z
  .record(z.string().min(1).max(128), z.union([z.number(), z.string().max(1024), z.boolean(), z.null()]))
  .refine((metrics) => Object.keys(metrics).length <= 256, 'expected at most 256 metrics');
export type Metrics = z.infer<typeof MetricsSchema>;

const jobId = z.string().min(1).max(255).describe("The pipeline's own name of the training");

export const SucceededDataSchema = z.strictObject({
  job_id: jobId,
  adapter: NameSchema.optional().describe('Required unless the hook or the job names the adapter'),
  artifact: ArtifactSchema,
  sha256: z
    .string()
    .regex(/^[0-9a-f]{64}$/, 'expected 64 hex digits in lower case')
    .optional()
    .describe('Of adapter_model.safetensors; another content is refused'),
  metrics: MetricsSchema.optional(),
  trained_tokens: z.int().nonnegative().optional(),
});
export type SucceededData = z.infer<typeof SucceededDataSchema>;

export const RunningDataSchema = z.strictObject({
  job_id: jobId,
  adapter: NameSchema.optional(),
  progress: z.number().min(0).max(1).optional(),
  message: z.string().max(4000).optional(),
  metrics: MetricsSchema.optional(),
  trained_tokens: z.int().nonnegative().optional(),
  estimated_finish_at: z.iso.datetime().optional(),
});
export type RunningData = z.infer<typeof RunningDataSchema>;

export const EndedDataSchema = z.strictObject({
  job_id: jobId,
  adapter: NameSchema.optional(),
  message: z.string().max(4000).optional(),
  error: z.strictObject({ code: z.string().max(128).optional(), message: z.string().max(4000) }).optional(),
  metrics: MetricsSchema.optional(),
});
export type EndedData = z.infer<typeof EndedDataSchema>;

export const FINE_TUNE_EVENTS = {
  'fine_tuning.job.running': RunningDataSchema,
  'fine_tuning.job.succeeded': SucceededDataSchema,
  'fine_tuning.job.failed': EndedDataSchema,
  'fine_tuning.job.cancelled': EndedDataSchema,
} as const;
export type FineTuneEventType = keyof typeof FINE_TUNE_EVENTS;
export const isFineTuneEvent = (type: string): type is FineTuneEventType =>
  Object.hasOwn(FINE_TUNE_EVENTS, type);

/** The envelope; what stands beside `type` and `data` is the sender's. */
export const FineTuneEnvelopeSchema = z.looseObject({
  type: z.string().regex(/^[a-z0-9_.]{1,128}$/i, 'expected an event type such as fine_tuning.job.succeeded'),
  data: z.record(z.string(), z.unknown()),
});

/** A known event as OpenAPI shows it. */
export const FineTuneEventSchema = z.discriminatedUnion('type', [
  z.looseObject({ type: z.literal('fine_tuning.job.running'), data: RunningDataSchema }),
  z.looseObject({ type: z.literal('fine_tuning.job.succeeded'), data: SucceededDataSchema }),
  z.looseObject({ type: z.literal('fine_tuning.job.failed'), data: EndedDataSchema }),
  z.looseObject({ type: z.literal('fine_tuning.job.cancelled'), data: EndedDataSchema }),
]);
