import { z } from 'zod';
import { AdapterProblemSchema } from './adapter-report.js';
import { EvaluationResultSchema } from './promotion.js';
import { listOf, NameSchema, PageQuerySchema, TimeSchema } from './resource.js';

/** `/v1/base-moves`: after a base change, what a tenant's aliases lead to is checked, evaluated, and let answer or not. */

/** How many failed prompts of a version's evaluation the report shows. */
export const SHOWN_FAILURES = 10;

const MoveEvaluateSchema = z.strictObject({
  set: NameSchema.describe('An evaluation set by name, as it is when a version is judged'),
  min_score: z.number().min(0).max(1).default(1).describe('Share of prompts that must pass'),
  max_tokens: z.int().min(1).max(4096).default(64),
});
export type MoveEvaluate = z.infer<typeof MoveEvaluateSchema>;

const MovePolicySchema = z.strictObject({
  evaluate: MoveEvaluateSchema.optional().describe(
    'By which prompts every version is judged. Absent: by those of the promotion policy of the hook of its adapter',
  ),
  unevaluated: z
    .enum(['promote', 'leave'])
    .default('leave')
    .describe('What becomes of a version that passed the check, and for which there are no prompts'),
  rejected: z
    .boolean()
    .default(false)
    .describe('Also check again what this base has rejected already, e.g. after an upgrade'),
});
export type MovePolicy = z.infer<typeof MovePolicySchema>;

export const StartBaseMoveSchema = MovePolicySchema.extend({
  adapter: NameSchema.optional().describe('Absent: all adapters'),
}).prefault({});
export type StartBaseMove = z.infer<typeof StartBaseMoveSchema>;

/** `checking -> evaluating -> promoted | left`; `unchanged`: it answered on the base before. */
export const MOVED_VERSION_STATES = ['checking', 'evaluating', 'promoted', 'left', 'unchanged'] as const;
export type MovedVersionState = (typeof MOVED_VERSION_STATES)[number];

const MoveEvaluationSchema = z.object({
  /** Whose prompts: the move's own, or the promotion policy of a hook. */
  by: z.enum(['move', 'hook']),
  hook: z.string().nullable(),
  evaluation_set: z.object({ name: NameSchema, revision: z.int(), digest: z.string() }).nullable(),
  prompts: z.int(),
  passed: z.int(),
  score: z.number(),
  min_score: z.number(),
  /** The first prompts that it failed. */
  failures: z.array(EvaluationResultSchema).max(SHOWN_FAILURES),
});
export type MoveEvaluation = z.infer<typeof MoveEvaluationSchema>;

/** One line of the report. */
export const MovedVersionSchema = z.object({
  id: z.string(),
  object: z.literal('base_move.version'),
  adapter: NameSchema,
  version: z.int(),
  /** Which led to it when the move began. */
  aliases: z.array(NameSchema),
  state: z.enum(MOVED_VERSION_STATES),
  /** Why, in words; null until it is decided. */
  reason: z.string().nullable(),
  /** What its validation against the base found; null: none was needed, or the version is deleted. */
  check: z
    .object({
      state: z.enum(['waiting', 'validating', 'ready', 'rejected']),
      /** The report's first; the whole stands in the version's `bases`. */
      error: AdapterProblemSchema.pick({ code: true, message: true }).nullable(),
      /** Whether it answers as its weights merged into the base; null: not asked. */
      parity: z.boolean().nullable(),
      failure: z.string().nullable(),
    })
    .nullable(),
  /** Null: not evaluated. */
  evaluation: MoveEvaluationSchema.nullable(),
  decided_at: TimeSchema.nullable(),
});
export type MovedVersion = z.infer<typeof MovedVersionSchema>;
export const MovedVersionListSchema = listOf(MovedVersionSchema);

export const MovedVersionQuerySchema = PageQuerySchema.extend({
  state: z.enum(MOVED_VERSION_STATES).optional(),
});
export type MovedVersionQuery = z.infer<typeof MovedVersionQuerySchema>;

export const BaseMoveSchema = z.object({
  id: z.string(),
  object: z.literal('base_move'),
  base_model: z.string(),
  base_digest: z.string(),
  /** The only one that it moves; null: all. */
  adapter: NameSchema.nullable(),
  policy: MovePolicySchema,
  state: z.enum(['running', 'finished', 'cancelled']),
  /** Versions by their state. */
  counts: z.object({
    checking: z.int(),
    evaluating: z.int(),
    promoted: z.int(),
    left: z.int(),
    unchanged: z.int(),
  }),
  created_at: TimeSchema,
  finished_at: TimeSchema.nullable(),
});
export type BaseMoveResource = z.infer<typeof BaseMoveSchema>;
export const BaseMoveListSchema = listOf(BaseMoveSchema);
