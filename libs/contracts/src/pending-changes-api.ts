import { z } from 'zod';
import { PutAliasSchema, RouteSchema } from './adapters-api.js';
import { ActorSchema } from './audit-api.js';
import { listOf, NameSchema, PageQuerySchema, TimeSchema } from './resource.js';

/** Protected aliases: one key asks for a change, a second one approves it. */

export const PutProtectionSchema = z.strictObject({
  protected: z.boolean().describe('Whether each change of the alias needs a second key or person'),
});

export const ProtectionSchema = z.object({
  object: z.literal('adapter.alias.protection'),
  adapter: NameSchema,
  alias: NameSchema,
  protected: z.boolean(),
});
export type ProtectionResource = z.infer<typeof ProtectionSchema>;

/**
 * `superseded`: who asked for it asked for another change of the alias; `outdated`: the alias moved meanwhile, e.g. by
 * its guard; `expired`: nobody decided it in time.
 */
export const PENDING_STATES = [
  'pending',
  'approved',
  'declined',
  'superseded',
  'outdated',
  'expired',
] as const;
export const PENDING_ACTIONS = ['set', 'rollback', 'delete', 'unprotect'] as const;

export const PendingChangeSchema = z.object({
  id: z.string(),
  object: z.literal('adapter.alias.pending_change'),
  adapter: NameSchema,
  alias: NameSchema,
  action: z.enum(PENDING_ACTIONS),
  /** What was asked for by `set`. */
  change: PutAliasSchema.nullable(),
  /** Where the alias will point; empty where it will be gone or stay as it is. */
  routes: z.array(RouteSchema),
  /** Of the alias when the change was asked for, which must be its revision still; null: there was none. */
  revision: z.int().nullable(),
  state: z.enum(PENDING_STATES),
  requested_by: ActorSchema,
  decided_by: ActorSchema.nullable(),
  /** Why it was approved or declined. */
  reason: z.string().nullable(),
  created_at: TimeSchema,
  /** Until then it can be decided; null: for ever. */
  expires_at: TimeSchema.nullable(),
  decided_at: TimeSchema.nullable(),
});
export type PendingChange = z.infer<typeof PendingChangeSchema>;
export const PendingChangeListSchema = listOf(PendingChangeSchema);

export const PendingChangeQuerySchema = PageQuerySchema.extend({
  state: z.enum(PENDING_STATES).optional(),
  adapter: NameSchema.optional(),
}).strict();
export type PendingChangeQuery = z.infer<typeof PendingChangeQuerySchema>;

export const DecisionSchema = z.strictObject({
  decision: z.enum(['approve', 'decline']),
  reason: z.string().min(1).max(1000).optional(),
});
export type Decision = z.infer<typeof DecisionSchema>;

export const RollbackQuerySchema = z.strictObject({
  emergency: z
    .string()
    .trim()
    .min(3)
    .max(500)
    .optional()
    .describe('Why a protected alias must go back at once, without a second key; stands in the audit log'),
});
