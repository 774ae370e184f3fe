import { z } from 'zod';

/** What a tenant or a key may use. `null` in HTTP, absent in storage: unlimited. */

const most = (min: number) => z.int().min(min).max(Number.MAX_SAFE_INTEGER).nullable();
const RATE_FIELDS = {
  requests_per_minute: most(1),
  tokens_per_minute: most(1).describe('Prompt and completion tokens'),
  concurrent_requests: most(1),
};
const QUOTA_FIELDS = {
  ...RATE_FIELDS,
  adapters: most(0),
  stored_bytes: most(0).describe('Distinct bytes of all uploaded files'),
  max_context: most(1).describe('Prompt and completion tokens of one request'),
};

export const RateLimitsSchema = z.object(RATE_FIELDS);
export type RateLimitsResource = z.infer<typeof RateLimitsSchema>;
export const QuotasSchema = z.object(QUOTA_FIELDS);
export type QuotasResource = z.infer<typeof QuotasSchema>;

/** Changes only what it names. */
export const PatchRateLimitsSchema = z.strictObject(RATE_FIELDS).partial();
export type PatchRateLimits = z.infer<typeof PatchRateLimitsSchema>;
export const PatchQuotasSchema = z.strictObject(QUOTA_FIELDS).partial();
export type PatchQuotas = z.infer<typeof PatchQuotasSchema>;

/** Share of the engines: of two tenants that always wait, one with 2 is served twice the tokens. */
export const WeightSchema = z.number().min(0.001).max(1000).describe('Share of the engines; default 1');

const UsedSchema = z.object({ adapters: z.int(), stored_bytes: z.int() });

/** `GET /v1/limits`: a tenant's quotas, the calling key's own limits, and what is used now. */
export const LimitsSchema = z.object({
  object: z.literal('limits'),
  tenant: z.string(),
  quotas: QuotasSchema,
  weight: WeightSchema,
  /** Of the key that asks; null for an operator's. */
  key_limits: RateLimitsSchema.nullable(),
  used: UsedSchema,
});
export type LimitsResource = z.infer<typeof LimitsSchema>;
