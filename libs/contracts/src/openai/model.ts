import { z } from 'zod';

/** A name that `model` takes: the base model, or an adapter with a version that is ready. */
export const ModelSchema = z.object({
  id: z.string(),
  object: z.literal('model'),
  created: z.int().describe('Unix seconds'),
  owned_by: z.string(),
  root: z.string().describe("The base model's name"),
  /** The base model's name, for an adapter. */
  parent: z.string().nullable(),
  max_model_len: z.int(),
});
export type Model = z.infer<typeof ModelSchema>;

/** OpenAI lists all at once; with `limit`, a page. */
export const ModelQuerySchema = z.object({
  limit: z.coerce.number().int().min(1).max(1000).optional().describe('Without it, all models'),
  after: z.string().max(300).optional().describe("The last page's last_id"),
});
export type ModelQuery = z.infer<typeof ModelQuerySchema>;

export const ModelListSchema = z.object({
  object: z.literal('list'),
  data: z.array(ModelSchema),
  /** With `limit` only. */
  has_more: z.boolean().optional(),
  last_id: z.string().nullable().optional(),
});
export type ModelList = z.infer<typeof ModelListSchema>;
