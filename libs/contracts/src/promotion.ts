import { z } from 'zod';
import { NameSchema, TimeSchema } from './resource.js';

/** What a hook does with a version that has become ready: point an alias at it, perhaps only when it answers well. */

const MAX_PATTERN_LENGTH = 1000;

export const MATCHES = ['exact', 'contains', 'regex'] as const;

const EvaluationMessageSchema = z.strictObject({
  role: z.enum(['system', 'user', 'assistant']),
  content: z.string().max(100_000),
});

export const EvaluationCaseSchema = z
  .strictObject({
    prompt: z.string().min(1).max(100_000).optional().describe('Plain text to go on from'),
    messages: z.array(EvaluationMessageSchema).min(1).max(64).optional().describe('A chat to answer'),
    expected: z.string().max(100_000),
    match: z
      .enum(MATCHES)
      .default('exact')
      .describe('exact: the whole answer, without white space around it; regex: found anywhere in it'),
  })
  .superRefine(({ prompt, messages, expected, match }, context) => {
    if ((prompt === undefined) === (messages === undefined))
      context.addIssue('expected exactly one of prompt and messages');
    if (match !== 'regex') return;
    const fault = patternFault(expected);
    if (fault !== undefined) context.addIssue({ code: 'custom', path: ['expected'], message: fault });
  });
export type EvaluationCase = z.infer<typeof EvaluationCaseSchema>;

export const EvaluationPolicySchema = z
  .strictObject({
    prompts: z.array(EvaluationCaseSchema).min(1).max(200).optional(),
    set: NameSchema.optional().describe('An evaluation set by name, as it is when the version is ready'),
    min_score: z.number().min(0).max(1).default(1).describe('Share of prompts that must pass'),
    max_tokens: z.int().min(1).max(4096).default(64),
  })
  .refine(
    ({ prompts, set }) => (prompts === undefined) !== (set === undefined),
    'expected exactly one of prompts and set',
  );

/** A policy whose prompts are at hand. */
export interface EvaluationPolicy {
  readonly prompts: readonly EvaluationCase[];
  readonly min_score: number;
  readonly max_tokens: number;
}

const PromoteObjectSchema = z.strictObject({
  alias: NameSchema.refine((alias) => alias !== 'latest', '`latest` moves by itself; name another alias'),
  evaluate: EvaluationPolicySchema.optional(),
});
export type PromotePolicy = z.infer<typeof PromoteObjectSchema>;

const { $schema: _, ...promoteObject } = z.toJSONSchema(PromoteObjectSchema, {
  io: 'input',
  unrepresentable: 'any',
});

/** An alias alone stands for a promotion without conditions. */
export const PromoteSchema = z
  .preprocess((value) => (typeof value === 'string' ? { alias: value } : value), PromoteObjectSchema)
  .meta({ anyOf: [{ type: 'string', description: 'The alias' }, promoteObject] });

export const ShownPromotePolicySchema = PromoteObjectSchema;

export const EvaluationResultSchema = z.object({
  index: z.int().nonnegative(),
  passed: z.boolean(),
  match: z.enum(MATCHES),
  expected: z.string(),
  /** Null when the engine could not answer. */
  answer: z.string().nullable(),
  error: z.string().nullable(),
});
export type EvaluationResult = z.infer<typeof EvaluationResultSchema>;

/** What came of the policy. */
export const PromotionSchema = z.object({
  alias: NameSchema,
  promoted: z.boolean(),
  /** Why, in words. */
  reason: z.string(),
  score: z.number().nullable(),
  min_score: z.number().nullable(),
  /** By which prompts, where the policy named a set; null: by its own, or by none. Absent in old deliveries. */
  evaluation_set: z.object({ name: NameSchema, revision: z.int(), digest: z.string() }).nullable().optional(),
  results: z.array(EvaluationResultSchema),
  decided_at: TimeSchema,
});
export type Promotion = z.infer<typeof PromotionSchema>;

function patternFault(pattern: string): string | undefined {
  if (pattern.length > MAX_PATTERN_LENGTH)
    return `expected a pattern of at most ${MAX_PATTERN_LENGTH} characters`;
  try {
    RegExp(pattern, 'u');
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}
