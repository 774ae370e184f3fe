import { z } from 'zod';
import { listOf, PageQuerySchema, TimeSchema } from './resource.js';

/** `GET /v1/admin/audit`: who changed what. */

/**
 * `operator`: an operator's key or an operator who signed in without one; `person`: somebody of a tenant who did;
 * `hook`: a fine-tune pipeline's signed call; `system`: the server itself, e.g. a job.
 */
export const ACTOR_TYPES = ['api_key', 'operator', 'person', 'hook', 'system'] as const;

export const ActorSchema = z.object({
  type: z.enum(ACTOR_TYPES),
  /** The key's, the person's or the hook's id; for the system the part of it that acted. */
  id: z.string(),
});
export type Actor = z.infer<typeof ActorSchema>;

/** `api_key.revoke`: what was changed, then how. */
export const AuditActionSchema = z
  .string()
  .regex(/^[a-z_]+(\.[a-z_]+)+$/, 'expected an action such as tenant.create');

export const SubjectSchema = z.object({
  /** As the resource's own `object`, e.g. `adapter.alias`. */
  type: z.string(),
  /** Unique among its kind; for what has no id of its own, its name, e.g. `support-bot:production`. */
  id: z.string(),
});
export type Subject = z.infer<typeof SubjectSchema>;

/** A resource as it was or became; whatever is secret in it reads `[secret]`. */
const StateSchema = z.record(z.string(), z.unknown()).nullable();

export const AuditEntrySchema = z.object({
  id: z.string(),
  object: z.literal('audit_entry'),
  created_at: TimeSchema,
  actor: ActorSchema,
  /** Id of the tenant concerned; null: none, or all. */
  tenant_id: z.string().nullable(),
  action: AuditActionSchema,
  subject: SubjectSchema,
  before: StateSchema,
  after: StateSchema,
  /** The `x-request-id` of the call; null: no call. */
  request_id: z.string().nullable(),
  address: z.string().nullable(),
});
export type AuditEntryResource = z.infer<typeof AuditEntrySchema>;
export const AuditListSchema = listOf(AuditEntrySchema);

export const AuditQuerySchema = PageQuerySchema.extend({
  tenant: z.string().optional().describe('Name or id of a tenant'),
  actor: z.string().optional().describe('A type of actor, or the id of one'),
  action: z.string().optional().describe('An action, or its beginning followed by `.*`, e.g. `api_key.*`'),
  subject: z.string().optional().describe('The id of what was changed'),
  from: TimeSchema.optional().describe('At or after this time'),
  to: TimeSchema.optional().describe('Before this time'),
}).strict();
export type AuditQuery = z.infer<typeof AuditQuerySchema>;
