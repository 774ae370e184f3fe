import { z } from 'zod';
import { listOf, NameSchema, TimeSchema } from './resource.js';

/** `/v1/adapters/{adapter}/shares`: who else may call an adapter. */

/** Stands for every tenant, those that come later too; no tenant can have this name. */
export const EVERYONE = '*';

export const GranteeSchema = z
  .union([NameSchema, z.literal(EVERYONE)], { error: 'expected the name of a tenant, or *' })
  .describe('The name of a tenant, or `*` for every tenant');

export const ShareSchema = z.object({
  object: z.literal('adapter.share'),
  adapter: NameSchema,
  tenant: GranteeSchema,
  /** What the grantee writes in `model`. */
  model: z.string(),
  /** The key that shared it. */
  key_id: z.string(),
  created_at: TimeSchema,
});
export type ShareResource = z.infer<typeof ShareSchema>;
export const ShareListSchema = listOf(ShareSchema);
