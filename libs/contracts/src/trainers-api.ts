import { z } from 'zod';
import { listOf, NameSchema, TimeSchema } from './resource.js';

/** `/v1/trainers/...`: external services to which fine-tuning jobs are handed. */

export const TrainerSchema = z.object({
  id: z.string(),
  object: z.literal('trainer'),
  name: NameSchema,
  /** Where jobs are posted to. Shown to whoever registered it. */
  url: z.string().nullable(),
  /** Where it posts its reports to. */
  report_url: z.string(),
  /** Registered by the operator for every tenant. */
  shared: z.boolean(),
  previous_secret_expires_at: TimeSchema.nullable(),
  created_at: TimeSchema,
});
export type TrainerResource = z.infer<typeof TrainerSchema>;
export const TrainerListSchema = listOf(TrainerSchema);

export const CreateTrainerSchema = z.strictObject({
  name: NameSchema,
  url: z
    .string()
    .max(2048)
    .refine(
      (text) => URL.canParse(text) && /^https?:$/.test(new URL(text).protocol),
      'expected an http(s) URL',
    ),
  shared: z.boolean().default(false).describe('For every tenant; operator keys only'),
});
export type CreateTrainer = z.infer<typeof CreateTrainerSchema>;

export const CreatedTrainerSchema = TrainerSchema.extend({ secret: z.string() });
export type CreatedTrainer = z.infer<typeof CreatedTrainerSchema>;
