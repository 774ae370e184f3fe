import { z } from 'zod';
import { listOf, TimeSchema } from './resource.js';

/** `GET /v1/usage` and, over all tenants, `GET /v1/admin/usage`. */

export const USAGE_GROUPS = ['adapter', 'version', 'key', 'day', 'hour', 'minute'] as const;
export type UsageGroup = (typeof USAGE_GROUPS)[number];
export const ADMIN_USAGE_GROUPS = ['tenant', ...USAGE_GROUPS] as const;
export type AdminUsageGroup = (typeof ADMIN_USAGE_GROUPS)[number];

/** Times as ISO 8601 (a day alone is its start in UTC), `from` inclusive, `to` exclusive; usage is kept by the minute. */
const MomentSchema = z.union([z.iso.datetime({ offset: true }), z.iso.date()]);

function groupBy(groups: readonly string[]) {
  const one = `(${groups.join('|')})`;
  return z
    .string()
    .regex(new RegExp(`^${one}(,${one})*$`), `expected a comma-separated list of ${groups.join(', ')}`)
    .optional()
    .describe(`Comma-separated: ${groups.join(', ')}; absent: one row for all`);
}

export const UsageQuerySchema = z.strictObject({
  from: MomentSchema.optional().describe('Default: 30 days before `to`'),
  to: MomentSchema.optional().describe('Default: now'),
  group_by: groupBy(USAGE_GROUPS),
  adapter: z.string().optional().describe('Only of this adapter'),
  key: z.string().optional().describe('Only of the key with this id'),
  format: z
    .enum(['json', 'csv'])
    .optional()
    .describe('Default: csv where Accept asks for text/csv, else json'),
});
export type UsageQuery = z.infer<typeof UsageQuerySchema>;

export const AdminUsageQuerySchema = UsageQuerySchema.extend({
  group_by: groupBy(ADMIN_USAGE_GROUPS),
  tenant: z.string().optional().describe('Only of this tenant, by name or id'),
}).strict();
export type AdminUsageQuery = z.infer<typeof AdminUsageQuerySchema>;

export const UsageRowSchema = z.object({
  tenant: z.string().optional(),
  day: z.iso.date().optional(),
  /** Its start. */
  hour: TimeSchema.optional(),
  minute: TimeSchema.optional(),
  /** Null: the base model without an adapter. */
  adapter: z.string().nullable().optional(),
  version: z.int().nullable().optional(),
  /** A key's id, or `operator`. */
  key: z.string().optional(),
  requests: z.int(),
  prompt_tokens: z.int(),
  cached_tokens: z.int(),
  completion_tokens: z.int(),
  errors: z.int(),
  /** Requests that got a first token, and their summed time to it. */
  ttft_count: z.int(),
  ttft_ms_sum: z.number(),
  /** Generations of two tokens and more, and their summed mean times per token after the first. */
  tpot_count: z.int(),
  tpot_ms_sum: z.number(),
  /** At the prices that stood when it was used; in the currency of the list. */
  cost: z.number(),
});
export type UsageRow = z.infer<typeof UsageRowSchema>;
export const UsageListSchema = listOf(UsageRowSchema).extend({
  from: TimeSchema,
  to: TimeSchema,
  currency: z.string(),
});
export type UsageList = z.infer<typeof UsageListSchema>;
