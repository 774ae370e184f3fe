import { z } from 'zod';
import { EvaluationCaseSchema } from './promotion.js';
import { DescriptionSchema, listOf, NameSchema, TimeSchema } from './resource.js';
import { storable } from './storable.js';

/** `/v1/evaluation-sets`: prompts with the answers expected of them, for the console and for policies of hooks. */

export const MAX_EVALUATION_PROMPTS = 200;

const PromptsSchema = z.array(EvaluationCaseSchema).min(1).max(MAX_EVALUATION_PROMPTS);

export const PutEvaluationSetSchema = storable(
  z.strictObject({
    description: DescriptionSchema.nullable().optional().describe('Absent: as it was'),
    prompts: PromptsSchema,
  }),
);
export type PutEvaluationSet = z.infer<typeof PutEvaluationSetSchema>;

export const EvaluationSetSummarySchema = z.object({
  id: z.string(),
  object: z.literal('evaluation_set'),
  name: NameSchema,
  description: z.string().nullable(),
  /** Counts up with each change of the prompts. */
  revision: z.int().positive(),
  /** SHA-256 over the prompts: the same prompts have the same. */
  digest: z.string(),
  prompt_count: z.int(),
  created_at: TimeSchema,
  updated_at: TimeSchema,
});
export type EvaluationSetSummary = z.infer<typeof EvaluationSetSummarySchema>;
export const EvaluationSetListSchema = listOf(EvaluationSetSummarySchema);

export const EvaluationSetSchema = EvaluationSetSummarySchema.extend({
  prompts: z.array(EvaluationCaseSchema),
});
export type EvaluationSetResource = z.infer<typeof EvaluationSetSchema>;

export const EvaluationSetQuerySchema = z.strictObject({
  revision: z.coerce
    .number()
    .int()
    .min(1)
    .max(1_000_000)
    .optional()
    .describe('An earlier one; absent: the newest'),
});
