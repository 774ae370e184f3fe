import { z } from 'zod';
import { NameSchema, TimeSchema, listOf } from './resource.js';

/** `/v1/admin/prices`, `/v1/admin/tenants/{tenant}/budgets`, and what a tenant sees of them. Amounts are in CURRENCY. */

const PerMillionSchema = z.number().min(0).max(1e9).describe('For a million tokens');

/** An adapter as the tenant calls it: its own, or `owner/name`. */
const CalledSchema = z.union([
  NameSchema,
  z
    .string()
    .regex(
      /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}\/[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/,
      'expected name or owner/name',
    ),
]);

export const PutPriceSchema = z
  .strictObject({
    tenant: z
      .string()
      .min(1)
      .max(128)
      .optional()
      .describe('By name or id; absent: the default of all tenants'),
    adapter: CalledSchema.optional().describe(
      'As the tenant calls it; absent: whatever has no price of its own, the base model too. Needs a tenant',
    ),
    prompt_per_million: PerMillionSchema,
    cached_per_million: PerMillionSchema.optional().describe(
      'Of prompt tokens found in the cache; default: as others',
    ),
    completion_per_million: PerMillionSchema,
  })
  .refine(({ tenant, adapter }) => adapter === undefined || tenant !== undefined, {
    path: ['tenant'],
    message: 'an adapter is one of a tenant: name the tenant too',
  });
export type PutPrice = z.infer<typeof PutPriceSchema>;

export const PriceSchema = z.object({
  id: z.string(),
  object: z.literal('price'),
  /** Null: the default of all tenants. */
  tenant: z.string().nullable(),
  /** Null: whatever has no price of its own. */
  adapter: z.string().nullable(),
  prompt_per_million: z.number(),
  cached_per_million: z.number(),
  completion_per_million: z.number(),
  currency: z.string(),
  updated_at: TimeSchema,
});
export type PriceResource = z.infer<typeof PriceSchema>;
export const PriceListSchema = listOf(PriceSchema);

const AmountSchema = z.number().positive().max(1e12).describe('In CURRENCY');
const SharesSchema = z
  .array(z.number().gt(0).max(10))
  .max(10)
  .transform((shares) => [...new Set(shares)].sort((a, b) => a - b))
  .describe('An alert for each share of the amount that is reached: 0.8 is 80 %');

export const CreateBudgetSchema = z.strictObject({
  amount: AmountSchema,
  period: z.enum(['day', 'month']).default('month').describe('In UTC'),
  key_id: z.uuid().optional().describe('Only what this key spends; absent: the whole tenant'),
  alert_shares: SharesSchema.default([0.5, 0.8, 1]),
  stop: z
    .boolean()
    .default(false)
    .describe('Refuse new requests once the amount is spent; what runs comes to its end'),
});
export type CreateBudget = z.infer<typeof CreateBudgetSchema>;

export const PatchBudgetSchema = z.strictObject({
  amount: AmountSchema.optional(),
  alert_shares: SharesSchema.optional(),
  stop: z.boolean().optional(),
});
export type PatchBudget = z.infer<typeof PatchBudgetSchema>;

export const BudgetSchema = z.object({
  id: z.string(),
  object: z.literal('budget'),
  tenant: z.string(),
  /** Null: of the whole tenant. */
  key_id: z.string().nullable(),
  period: z.enum(['day', 'month']),
  amount: z.number(),
  alert_shares: z.array(z.number()),
  stop: z.boolean(),
  currency: z.string(),
  /** In the period that runs. */
  spent: z.number(),
  period_started_at: TimeSchema,
  period_ends_at: TimeSchema,
  /** Those of the period that runs. */
  alerts: z.array(z.object({ share: z.number(), spent: z.number(), created_at: TimeSchema })),
  created_at: TimeSchema,
});
export type BudgetResource = z.infer<typeof BudgetSchema>;
export const BudgetListSchema = listOf(BudgetSchema);
