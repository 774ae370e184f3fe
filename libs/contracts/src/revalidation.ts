import { z } from 'zod';
import { AdapterProblemSchema } from './adapter-report.js';
import { TimeSchema } from './resource.js';

/** After another base was loaded: stored versions are read anew against it (`/v1/admin/revalidations`). */

/** What became of one version on a base that was loaded after it was uploaded. */
export const RevalidationSchema = z.object({
  base_model: z.string(),
  base_digest: z.string(),
  /** refused: it stays as it was, for the base that it was made for. */
  verdict: z.enum(['accepted', 'refused']),
  /** The first reasons, when refused. */
  errors: z.array(AdapterProblemSchema),
  at: TimeSchema,
});
export type Revalidation = z.infer<typeof RevalidationSchema>;

export const StartRevalidationSchema = z.strictObject({
  tenant: z.string().min(1).max(128).optional().describe('Name or id; absent: all tenants'),
});
export type StartRevalidation = z.infer<typeof StartRevalidationSchema>;

/** How far the versions are with the base that is served now. */
export const RevalidationStatusSchema = z.object({
  object: z.literal('revalidation'),
  base_model: z.string(),
  base_digest: z.string(),
  tenant: z.string().nullable(),
  /** Ready versions of this base: they answer. */
  current: z.int(),
  /** Ready versions of another base that were not tried on this one yet. */
  waiting: z.int(),
  /** Those that this base refused. */
  refused: z.int(),
});
export type RevalidationStatus = z.infer<typeof RevalidationStatusSchema>;
