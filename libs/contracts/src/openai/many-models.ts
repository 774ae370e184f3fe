import { z } from 'zod';
import { CompletionUsageSchema, PromptLogprobsSchema } from './usage.js';
import { answerFields, MAX_CHOICES } from './generation-fields.js';

const MOST_MODELS = 16;

/** `model`, or several of them: each answers the same prompt. */
export const modelFields = {
  model: answerFields.model.nullish(),
  models: z
    .array(answerFields.model)
    .min(1)
    .max(MOST_MODELS)
    .nullish()
    .describe('In place of `model`: each of them answers; choices say whose they are'),
};

interface ManyRules {
  readonly model?: string | null | undefined;
  readonly models?: readonly string[] | null | undefined;
}

/** `generations`: of one model. */
export function checkModels(
  { model, models }: ManyRules,
  generations: number,
  report: (field: string, message: string) => void,
): void {
  const isNamed = typeof model === 'string';
  if (!isNamed && !models) report('model', 'expected a model');
  if (isNamed && models) report('models', 'not with model');
  if (models && models.length * generations > MAX_CHOICES)
    report('models', `expected at most ${MAX_CHOICES} generations in one request, of all models together`);
}

/** A request to one model. */
export type OfOneModel<T> = T & { model: string };

/** What several models are asked, of one of them. */
export function ofOneModel<T extends object>(body: T, model: string): OfOneModel<T> {
  return { ...body, model, models: null };
}

/** Of a choice that several models were asked for. */
export const choiceOfModel = {
  model: z.string().optional().describe('Whose it is; only where several `models` were asked'),
  error: z
    .object({ message: z.string(), type: z.string(), code: z.string(), param: z.string().nullable() })
    .optional()
    .describe('Why this model did not answer: `finish_reason` is then `error`'),
};

/** What became of each of the `models`, in their order. */
export const ModelResultSchema = z.object({
  model: z.string(),
  system_fingerprint: z.string().nullable(),
  usage: CompletionUsageSchema,
  error: choiceOfModel.error,
  prompt_token_ids: z.array(z.int()).optional(),
  prompt_logprobs: PromptLogprobsSchema.optional(),
});
export type ModelResult = z.infer<typeof ModelResultSchema>;
