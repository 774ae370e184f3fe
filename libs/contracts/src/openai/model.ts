import { z } from 'zod';

/** A name that `model` takes: the base model, or an adapter with a version that is ready. */
export const ModelSchema = z.object({
  id: z.string(),
  object: z.literal('model'),
  created: z.int().describe('Unix seconds'),
  owned_by: z.string(),
  /** The base model's name, for an adapter. */
  parent: z.string().nullable(),
  max_model_len: z.int(),
});
export type Model = z.infer<typeof ModelSchema>;

export const ModelListSchema = z.object({ object: z.literal('list'), data: z.array(ModelSchema) });
export type ModelList = z.infer<typeof ModelListSchema>;
