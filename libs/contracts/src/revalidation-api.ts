import { z } from 'zod';
import { AdapterProblemSchema, AdapterReportSchema } from './adapter-report.js';
import { ParitySchema } from './parity.js';
import { NameSchema, TimeSchema } from './resource.js';

/** After the base model was changed: stored versions are judged anew, against the base that is served now. */

/** `waiting -> validating -> ready | rejected`. */
export const VERSION_BASE_STATES = ['waiting', 'validating', 'ready', 'rejected'] as const;
export type VersionBaseState = (typeof VERSION_BASE_STATES)[number];

/** What became of a version on a base model other than the one that it was first judged against. */
export const VersionBaseSchema = z.object({
  base_model: z.string(),
  base_digest: z.string(),
  state: z.enum(VERSION_BASE_STATES),
  /** Identity of what is served on this base; null until ready. */
  digest: z.string().nullable(),
  report: AdapterReportSchema.nullable().describe('Null in lists without `include=report`'),
  parity: ParitySchema.nullable(),
  /** Why the validation itself could not be finished. */
  failure: z.string().nullable(),
  /** Why it does not answer on this base although it was accepted: a move holds it back; null: nothing does. */
  held: z.string().nullable(),
  requested_at: TimeSchema,
  judged_at: TimeSchema.nullable(),
});
export type VersionBaseResource = z.infer<typeof VersionBaseSchema>;

const AdapterOptionSchema = NameSchema.optional().describe('Absent: all adapters');
const TenantOptionSchema = z.string().min(1).max(128).optional().describe('Name or id; absent: all tenants');

/** `/v1/revalidations`: the caller's own adapters. */
export const RevalidationQuerySchema = z.strictObject({ adapter: AdapterOptionSchema });
export type RevalidationQuery = z.infer<typeof RevalidationQuerySchema>;
const StartSchema = RevalidationQuerySchema.extend({
  rejected: z
    .boolean()
    .default(false)
    .describe(
      'Also those that this base has rejected already, e.g. after an upgrade, and those that were rejected when they were ' +
        'uploaded only for what belongs to the base of that time',
    ),
});
export const StartRevalidationSchema = StartSchema.prefault({});
export type StartRevalidation = z.infer<typeof StartRevalidationSchema>;

/** `/v1/admin/revalidations`: of all tenants, of one, or one adapter of one. */
const TENANT_NEEDED = { path: ['tenant'], message: "an adapter's name needs its tenant" };
const namesTenant = ({ tenant, adapter }: { tenant?: string | undefined; adapter?: string | undefined }) =>
  adapter === undefined || tenant !== undefined;
export const AdminRevalidationQuerySchema = RevalidationQuerySchema.extend({
  tenant: TenantOptionSchema,
}).refine(namesTenant, TENANT_NEEDED);
export type AdminRevalidationQuery = z.infer<typeof AdminRevalidationQuerySchema>;
export const StartAdminRevalidationSchema = StartSchema.extend({ tenant: TenantOptionSchema })
  .refine(namesTenant, TENANT_NEEDED)
  .prefault({});
export type StartAdminRevalidation = z.infer<typeof StartAdminRevalidationSchema>;

/** A version that the base rejected, and the first reason. */
const RejectionSchema = z.object({
  tenant: z.string(),
  adapter: NameSchema,
  version: z.int(),
  error: AdapterProblemSchema.pick({ code: true, message: true }).nullable(),
  /** Why the validation itself could not be finished. */
  failure: z.string().nullable(),
});
export type Rejection = z.infer<typeof RejectionSchema>;

/**
 * How far the stored versions are with the base that is served now: each that was ever ready counts once, as does one that
 * was rejected when it came and is tried again.
 */
export const RevalidationSchema = z.object({
  object: z.literal('revalidation'),
  base_model: z.string(),
  base_digest: z.string(),
  /** The one asked about; null: all. */
  tenant: z.string().nullable(),
  adapter: z.string().nullable(),
  /** They answer on this base. */
  ready: z.int(),
  /** Of another base, and nobody has asked for their validation against this one. */
  unvalidated: z.int(),
  /** Their jobs wait or run. */
  queued: z.int(),
  /** Accepted, and held back by a move. */
  held: z.int(),
  rejected: z.int(),
  /** The last ones that were rejected, at most 100. */
  rejections: z.array(RejectionSchema),
});
export type Revalidation = z.infer<typeof RevalidationSchema>;
