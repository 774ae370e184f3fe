import { z } from 'zod';
import { DeriveSchema } from './derivations-api.js';
import { TimeSchema } from './resource.js';

/** Versions whose files the server fetches itself: the JSON form of `POST /v1/adapters/{name}/versions`. */

const UrlSchema = z.string().min(1).max(4096);
const UploadIdSchema = z.uuid();

/** Finished resumable uploads (`/v1/uploads`) that together are a version. */
export const UploadsSchema = z
  .object({
    config: UploadIdSchema,
    weights: UploadIdSchema,
    chat_template: UploadIdSchema.optional(),
    tokenizer_config: UploadIdSchema.optional(),
    generation_config: UploadIdSchema.optional(),
  })
  .catchall(UploadIdSchema)
  .refine((uploads) => Object.keys(uploads).length <= 64, 'expected at most 64 files')
  .refine(
    (uploads) => Object.keys(uploads).every((name) => name.length <= 255),
    'expected names of at most 255 characters',
  )
  .describe('`config`, `weights`, ..., or a file name; other files of a training folder are left out');

/** Where the files are; exactly one of the forms. */
const SOURCE_FIELDS = {
  source: UrlSchema.optional().describe(
    'A folder that holds both files: `https://host/folder/`, `s3://bucket/prefix`, `hf://org/repo@revision/subfolder`',
  ),
  config_url: UrlSchema.optional().describe('https URL of adapter_config.json; together with weights_url'),
  weights_url: UrlSchema.optional().describe('https URL of adapter_model.safetensors'),
  chat_template_url: UrlSchema.optional().describe('https URL of chat_template.jinja, beside the two'),
  uploads: UploadsSchema.optional().describe('Ids of finished resumable uploads'),
  derive: DeriveSchema.optional().describe('Computed by the server from versions that are here'),
};

export const ImportFromSchema = z.strictObject({
  ...SOURCE_FIELDS,
  sha256: z
    .string()
    .regex(/^[0-9a-fA-F]{64}$/, 'expected 64 hexadecimal digits')
    .transform((digits) => digits.toLowerCase())
    .optional()
    .describe('Of adapter_model.safetensors; another hash is refused'),
});
export type ImportFrom = z.infer<typeof ImportFromSchema>;

/** How far an import is; part of the version. */
export const ImportProgressSchema = z.object({
  bytes_done: z.int(),
  /** Null until the source has told its size. */
  bytes_total: z.int().nullable(),
  /** How often a worker has begun, the present time included. */
  attempts: z.int(),
  /** Why the last try failed; null after progress. */
  last_error: z.string().nullable(),
  /** When the next try is due, while the import waits. */
  next_attempt_at: TimeSchema.nullable(),
});
export type ImportProgress = z.infer<typeof ImportProgressSchema>;
