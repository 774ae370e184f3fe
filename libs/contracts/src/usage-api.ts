import { z } from 'zod';
import { listOf, TimeSchema } from './resource.js';

export const USAGE_GROUPS = ['adapter', 'version', 'day'] as const;
export type UsageGroup = (typeof USAGE_GROUPS)[number];

/** `GET /v1/usage`: times as ISO 8601 (a day alone is its start in UTC), `from` inclusive, `to` exclusive. */
const MomentSchema = z.union([z.iso.datetime({ offset: true }), z.iso.date()]);

export const UsageQuerySchema = z.strictObject({
  from: MomentSchema.optional().describe('Default: 30 days before `to`'),
  to: MomentSchema.optional().describe('Default: now'),
  group_by: z
    .string()
    .regex(
      /^(adapter|version|day)(,(adapter|version|day))*$/,
      'expected a comma-separated list of adapter, version, day',
    )
    .optional()
    .describe('Comma-separated: adapter, version, day; absent: one row for all'),
});
export type UsageQuery = z.infer<typeof UsageQuerySchema>;

export const UsageRowSchema = z.object({
  /** Null: the base model without an adapter. */
  adapter: z.string().nullable().optional(),
  version: z.int().nullable().optional(),
  day: z.iso.date().optional(),
  requests: z.int(),
  prompt_tokens: z.int(),
  cached_tokens: z.int(),
  completion_tokens: z.int(),
  errors: z.int(),
});
export type UsageRow = z.infer<typeof UsageRowSchema>;
export const UsageListSchema = listOf(UsageRowSchema).extend({ from: TimeSchema, to: TimeSchema });
export type UsageList = z.infer<typeof UsageListSchema>;
