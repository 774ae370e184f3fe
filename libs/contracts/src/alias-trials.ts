import { z } from 'zod';
import { NameSchema, TimeSchema } from './resource.js';

/** How a new version is tried before it serves everyone: a shadow copy of the traffic, and a guarded change. */

const VersionNumberSchema = z.int().positive();

export const ShadowSchema = z.strictObject({
  version: VersionNumberSchema.describe('The candidate; its answers are compared and never returned'),
  share: z.number().gt(0).max(1).describe('Of the requests that are copied to it'),
});
export type Shadow = z.infer<typeof ShadowSchema>;

const guardBounds = {
  max_error_rate: z
    .number()
    .min(0)
    .lt(1)
    .optional()
    .describe('Largest share of requests that may fail on our side'),
  max_tpot_ms: z.number().positive().optional().describe('Largest mean time per token after the first'),
  min_requests: z
    .int()
    .min(1)
    .max(1_000_000)
    .default(20)
    .describe('Nothing is judged before so many requests'),
  window_s: z
    .int()
    .min(1)
    .max(7 * 86_400)
    .default(600)
    .describe('How long after the change the versions are watched'),
};

export const GuardSchema = z
  .strictObject(guardBounds)
  .refine(
    ({ max_error_rate, max_tpot_ms }) => max_error_rate !== undefined || max_tpot_ms !== undefined,
    'expected max_error_rate, max_tpot_ms, or both',
  );
export type Guard = z.infer<typeof GuardSchema>;

/** A guard of a change that was made. */
export const ArmedGuardSchema = z.object({
  ...guardBounds,
  /** Versions that got a larger share by the change. */
  versions: z.array(VersionNumberSchema),
  /** Versions to which it would go back; they cannot be deleted until then. */
  fallback: z.array(VersionNumberSchema),
  until: TimeSchema,
});
export type ArmedGuard = z.infer<typeof ArmedGuardSchema>;

/** What broke which bound. */
export const GuardBreachSchema = z.object({
  version: VersionNumberSchema,
  bound: z.enum(['max_error_rate', 'max_tpot_ms']),
  limit: z.number(),
  observed: z.number(),
  requests: z.int(),
});
export type GuardBreach = z.infer<typeof GuardBreachSchema>;

const LatencySchema = z.object({
  /** Means; null where nothing was measured. */
  ttft_ms: z.number().nullable(),
  tpot_ms: z.number().nullable(),
});

export const ShadowReportSchema = z.object({
  object: z.literal('adapter.alias.shadow'),
  adapter: NameSchema,
  alias: NameSchema,
  /** The change of the alias since which is counted. */
  revision: z.int().positive(),
  shadow: ShadowSchema.nullable(),
  requests: z.object({
    /** Answered by both and compared. */
    compared: z.int(),
    /** The candidate failed. */
    failed: z.int(),
    /** Not sent, or given up, because the engines had other work. */
    dropped: z.int(),
  }),
  /** Of single answers: a request may ask for several. */
  agreement: z.object({
    answers: z.int(),
    /** Token for token the same. */
    exact: z.int(),
    exact_rate: z.number().nullable(),
    /** Tokens before the first that differs, over all tokens that were served. */
    token_match_rate: z.number().nullable(),
    /** Mean position of the first token that differs, in answers that differ. */
    first_divergence: z.number().nullable(),
  }),
  latency: z.object({ served: LatencySchema, candidate: LatencySchema }),
  /** What the candidate spent; no part of anybody's usage. */
  tokens: z.object({ prompt: z.int(), cached: z.int(), completion: z.int() }),
  /** Codes with which the candidate failed. */
  errors: z.record(z.string(), z.int()),
});
export type ShadowReport = z.infer<typeof ShadowReportSchema>;

export const ShadowQuerySchema = z.object({
  revision: z.coerce
    .number()
    .int()
    .positive()
    .max(2 ** 31 - 1)
    .optional()
    .describe('An earlier change of the alias; without it, the newest'),
});
