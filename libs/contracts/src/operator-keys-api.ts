import { z } from 'zod';
import { listOf, TimeSchema } from './resource.js';

/** `/v1/admin/keys`: operator keys beside the one in ADMIN_API_KEY. */

export const OperatorKeySchema = z.object({
  id: z.string(),
  object: z.literal('operator_key'),
  name: z.string(),
  /** The key's first characters, to tell keys apart. */
  prefix: z.string(),
  created_at: TimeSchema,
  expires_at: TimeSchema.nullable(),
  /** To the minute. */
  last_used_at: TimeSchema.nullable(),
  revoked_at: TimeSchema.nullable(),
});
export type OperatorKeyResource = z.infer<typeof OperatorKeySchema>;
export const OperatorKeyListSchema = listOf(OperatorKeySchema);

export const CreateOperatorKeySchema = z.strictObject({
  name: z.string().min(1).max(128),
  expires_at: TimeSchema.optional(),
});
export type CreateOperatorKey = z.infer<typeof CreateOperatorKeySchema>;

/** The only answer that ever holds the key itself. */
export const CreatedOperatorKeySchema = OperatorKeySchema.extend({ key: z.string() });
export type CreatedOperatorKey = z.infer<typeof CreatedOperatorKeySchema>;
