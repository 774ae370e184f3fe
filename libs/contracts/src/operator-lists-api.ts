import { z } from 'zod';
import { TenantStateSchema } from './admin-api.js';
import { QuotasSchema, WeightSchema } from './limits-api.js';
import { listOf, PageQuerySchema, TimeSchema } from './resource.js';

/** `/v1/admin/limits`, `/v1/admin/webhooks`, `/v1/admin/hooks`: one line each for a tenant, a receiver, a pipeline. */

export const TenantUseSchema = z.object({
  id: z.string(),
  object: z.literal('tenant.use'),
  tenant: z.string(),
  state: TenantStateSchema,
  weight: WeightSchema,
  quotas: QuotasSchema,
  used: z.object({
    adapters: z.int(),
    stored_bytes: z.int(),
    /** In the last whole minute. */
    requests_per_minute: z.int(),
    tokens_per_minute: z.int(),
  }),
});
export type TenantUse = z.infer<typeof TenantUseSchema>;
export const TenantUseListSchema = listOf(TenantUseSchema);

export const WebhooksQuerySchema = PageQuerySchema.extend({
  tenant: z.string().optional().describe('Name or id of a tenant'),
  failing: z
    .enum(['true', 'false', ''])
    .optional()
    .describe('Only those that are disabled or have failed since their last success'),
}).strict();
export type WebhooksQuery = z.infer<typeof WebhooksQuerySchema>;

export const WebhookOverviewSchema = z.object({
  id: z.string(),
  object: z.literal('webhook_endpoint.overview'),
  tenant: z.string(),
  url: z.string(),
  events: z.array(z.string()),
  enabled: z.boolean(),
  disabled_reason: z.string().nullable(),
  failing_since: TimeSchema.nullable(),
  /** Its last 100 deliveries by their state. */
  recent: z.object({ pending: z.int(), succeeded: z.int(), failed: z.int() }),
  last_delivery: z
    .object({
      id: z.string(),
      type: z.string(),
      state: z.string(),
      /** HTTP status of the last attempt; null: it got no answer, or there was none yet. */
      status: z.int().nullable(),
      error: z.string().nullable(),
      created_at: TimeSchema,
    })
    .nullable(),
});
export type WebhookOverview = z.infer<typeof WebhookOverviewSchema>;
export const WebhookOverviewListSchema = listOf(WebhookOverviewSchema);

export const HooksQuerySchema = WebhooksQuerySchema.omit({ failing: true }).strict();
export type HooksQuery = z.infer<typeof HooksQuerySchema>;

export const HookOverviewSchema = z.object({
  id: z.string(),
  object: z.literal('hook.overview'),
  tenant: z.string(),
  name: z.string(),
  adapter: z.string().nullable(),
  /** Its last 100 deliveries: still running, done, failed. */
  recent: z.object({ open: z.int(), done: z.int(), failed: z.int() }),
  last_delivery: z
    .object({
      id: z.string(),
      type: z.string(),
      state: z.string(),
      adapter: z.string().nullable(),
      version: z.int().nullable(),
      reason: z.string().nullable(),
      created_at: TimeSchema,
    })
    .nullable(),
});
export type HookOverview = z.infer<typeof HookOverviewSchema>;
export const HookOverviewListSchema = listOf(HookOverviewSchema);
