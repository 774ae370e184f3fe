import { z } from 'zod';

/** `/v1/files` in OpenAI's shape; times are Unix seconds. */

/** `batch_output` is of files that a batch made. */
export const FILE_PURPOSES = ['batch', 'batch_output'] as const;
export type FilePurpose = (typeof FILE_PURPOSES)[number];

export const ExpiresAfterSchema = z.strictObject({
  anchor: z.literal('created_at'),
  seconds: z.coerce.number().int().min(3_600).max(2_592_000),
});

/** The fields of an upload beside its part `file`. */
export const FileFieldsSchema = z.strictObject({
  purpose: z.literal('batch', { error: 'expected batch: files serve nothing else here' }),
  expires_after: ExpiresAfterSchema.optional(),
});
export type FileFields = z.infer<typeof FileFieldsSchema>;

export const FileSchema = z.object({
  id: z.string(),
  object: z.literal('file'),
  bytes: z.int(),
  created_at: z.int(),
  expires_at: z.int().optional().describe('Absent: it is kept until it is deleted'),
  filename: z.string(),
  purpose: z.enum(FILE_PURPOSES),
  status: z.literal('processed'),
});
export type FileResource = z.infer<typeof FileSchema>;

export const openAiListOf = <T extends z.ZodType>(item: T) =>
  z.object({
    object: z.literal('list'),
    data: z.array(item),
    has_more: z.boolean(),
    first_id: z.string().nullable(),
    last_id: z.string().nullable(),
  });

export const FileListSchema = openAiListOf(FileSchema);
export type FileList = z.infer<typeof FileListSchema>;

export const FileQuerySchema = z.object({
  limit: z.coerce.number().int().min(1).max(10_000).default(10_000),
  after: z.string().optional().describe("The last page's last_id"),
  order: z.enum(['asc', 'desc']).default('desc'),
  purpose: z.string().max(64).optional(),
});
export type FileQuery = z.infer<typeof FileQuerySchema>;
