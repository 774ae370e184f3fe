import { z } from 'zod';
import {
  PatchQuotasSchema,
  PatchRateLimitsSchema,
  QuotasSchema,
  RateLimitsSchema,
  WeightSchema,
} from './limits-api.js';
import { listOf, NameSchema, TimeSchema } from './resource.js';

/** `/v1/admin/...`: what an operator does with tenants and their keys. */

export const SCOPES = ['inference', 'adapters', 'usage'] as const;
export const ScopeSchema = z.enum(SCOPES);
export type Scope = z.infer<typeof ScopeSchema>;

export const TenantStateSchema = z.enum(['active', 'suspended']);

const RequireBaseMatchSchema = z
  .boolean()
  .describe('Refuse adapters whose base_model_name_or_path does not name the base model that is served');

export const TenantSchema = z.object({
  id: z.string(),
  object: z.literal('tenant'),
  name: NameSchema,
  state: TenantStateSchema,
  quotas: QuotasSchema,
  weight: WeightSchema,
  require_base_match: RequireBaseMatchSchema,
  created_at: TimeSchema,
});
export type TenantResource = z.infer<typeof TenantSchema>;
export const TenantListSchema = listOf(TenantSchema);

export const CreateTenantSchema = z.strictObject({
  name: NameSchema,
  quotas: PatchQuotasSchema.optional(),
  weight: WeightSchema.optional(),
  require_base_match: RequireBaseMatchSchema.optional(),
});
export type CreateTenant = z.infer<typeof CreateTenantSchema>;

export const PatchTenantSchema = z.strictObject({
  state: TenantStateSchema.optional(),
  quotas: PatchQuotasSchema.optional(),
  weight: WeightSchema.optional(),
  require_base_match: RequireBaseMatchSchema.optional(),
});
export type PatchTenant = z.infer<typeof PatchTenantSchema>;

export const ApiKeySchema = z.object({
  id: z.string(),
  object: z.literal('api_key'),
  tenant: NameSchema,
  name: z.string(),
  /** The key's first characters, to tell keys apart. */
  prefix: z.string(),
  scopes: z.array(ScopeSchema),
  limits: RateLimitsSchema,
  created_at: TimeSchema,
  expires_at: TimeSchema.nullable(),
  rotated_at: TimeSchema.nullable(),
  /** Until when the secret before the last rotation is still valid; null: it is not. */
  previous_valid_until: TimeSchema.nullable(),
  /** To the minute. */
  last_used_at: TimeSchema.nullable(),
  revoked_at: TimeSchema.nullable(),
});
export type ApiKeyResource = z.infer<typeof ApiKeySchema>;
export const ApiKeyListSchema = listOf(ApiKeySchema);

export const CreateKeySchema = z.strictObject({
  name: z.string().min(1).max(128),
  scopes: z
    .array(ScopeSchema)
    .min(1)
    .default([...SCOPES]),
  expires_at: TimeSchema.optional(),
  limits: PatchRateLimitsSchema.optional(),
});
export type CreateKey = z.infer<typeof CreateKeySchema>;

/** The only answer that ever holds the key itself. */
export const CreatedKeySchema = ApiKeySchema.extend({ key: z.string() });
export type CreatedKey = z.infer<typeof CreatedKeySchema>;

export const PatchKeySchema = z.strictObject({
  name: z.string().min(1).max(128).optional(),
  scopes: z.array(ScopeSchema).min(1).optional(),
  expires_at: TimeSchema.nullable().optional(),
  limits: PatchRateLimitsSchema.optional(),
});
export type PatchKey = z.infer<typeof PatchKeySchema>;

/** A week is long enough to roll a new secret out. */
const MAX_GRACE_S = 7 * 86_400;

export const RotateKeySchema = z.strictObject({
  grace_seconds: z
    .int()
    .min(0)
    .max(MAX_GRACE_S)
    .default(0)
    .describe('How long the present secret stays valid; 0: it ends at once'),
});
export type RotateKey = z.infer<typeof RotateKeySchema>;
