import { z } from 'zod';
import { ScopeSchema, TenantStateSchema } from './admin-api.js';

/** `GET /v1/whoami`: whose key this is and what it may do; every valid key may ask. */
export const WhoamiSchema = z.object({
  object: z.literal('caller'),
  operator: z.boolean(),
  key_id: z.string(),
  scopes: z.array(ScopeSchema),
  /** Null for an operator key that names no tenant in `x-tenant`. */
  tenant: z.object({ id: z.string(), name: z.string(), state: TenantStateSchema }).nullable(),
});
export type Whoami = z.infer<typeof WhoamiSchema>;
