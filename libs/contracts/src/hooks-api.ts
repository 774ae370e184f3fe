import { z } from 'zod';
import { PromoteSchema, PromotionSchema, ShownPromotePolicySchema } from './promotion.js';
import { listOf, NameSchema, TimeSchema } from './resource.js';
import { storable } from './storable.js';

/** `/v1/hooks/...`: where fine-tune pipelines announce what they trained. */

export const HookSchema = z.object({
  id: z.string(),
  object: z.literal('hook'),
  name: z.string(),
  /** Where to post events to. */
  url: z.string(),
  /** The only adapter that it takes versions of; null: the event names one. */
  adapter: NameSchema.nullable(),
  promote: ShownPromotePolicySchema.nullable(),
  /** Until when the secret before the last rotation is still taken. */
  previous_secret_expires_at: TimeSchema.nullable(),
  created_at: TimeSchema,
});
export type HookResource = z.infer<typeof HookSchema>;
export const HookListSchema = listOf(HookSchema);

export const HookNameSchema = z.string().trim().min(1).max(128);

export const CreateHookSchema = storable(
  z.strictObject({
    name: HookNameSchema,
    adapter: NameSchema.optional(),
    promote: PromoteSchema.optional(),
  }),
);
export type CreateHook = z.infer<typeof CreateHookSchema>;

/** Each field that is given replaces what stood there; null takes it away. */
export const PatchHookSchema = storable(
  z.strictObject({
    name: HookNameSchema.optional(),
    adapter: NameSchema.nullable().optional(),
    promote: PromoteSchema.nullable().optional(),
  }),
);
export type PatchHook = z.infer<typeof PatchHookSchema>;

/** The only answers that ever hold a secret. */
export const CreatedHookSchema = HookSchema.extend({ secret: z.string() });
export type CreatedHook = z.infer<typeof CreatedHookSchema>;

const DAY_S = 24 * 3600;

export const RotateSecretSchema = z
  .strictObject({
    overlap_seconds: z
      .int()
      .min(0)
      .max(7 * DAY_S)
      .default(DAY_S)
      .describe('How long the old secret goes on being used beside the new one'),
  })
  .prefault({});
export type RotateSecret = z.infer<typeof RotateSecretSchema>;

export const HOOK_DELIVERY_STATES = [
  'accepted',
  'importing',
  'validating',
  'promoting',
  'succeeded',
  'failed',
  'recorded',
  'ignored',
] as const;

/** One event that was posted to a hook, and what became of it. */
export const HookDeliverySchema = z.object({
  id: z.string(),
  object: z.literal('hook.delivery'),
  hook: z.string(),
  /** The sender's `webhook-id`; the same one again has no further effect. */
  webhook_id: z.string(),
  type: z.string(),
  /**
   * `accepted`, `importing`, `validating` and `promoting` are on their way; `recorded`: an event that asks for nothing;
   * `ignored`: a type that is not known, or one that comes too late.
   */
  state: z.enum(HOOK_DELIVERY_STATES),
  job_id: z.string().nullable(),
  adapter: NameSchema.nullable(),
  version: z.int().nullable(),
  promotion: PromotionSchema.nullable(),
  /** Why it failed or was ignored. */
  reason: z.string().nullable(),
  data: z.record(z.string(), z.unknown()),
  created_at: TimeSchema,
  finished_at: TimeSchema.nullable(),
});
export type HookDelivery = z.infer<typeof HookDeliverySchema>;
export const HookDeliveryListSchema = listOf(HookDeliverySchema);
