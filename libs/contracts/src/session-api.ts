import { z } from 'zod';
import { ScopeSchema, TenantStateSchema } from './admin-api.js';
import { TimeSchema } from './resource.js';

/** `/v1/session`: a person at the console. The session's secret is a cookie that no script can read. */

export const OpenSessionSchema = z
  .strictObject({
    key: z.string().min(1).max(512).optional().describe("An operator's or a tenant's key"),
    link: z.string().min(1).max(512).optional().describe('The secret of a sign-in link'),
  })
  .refine(({ key, link }) => (key === undefined) !== (link === undefined), 'expected either key or link');
export type OpenSession = z.infer<typeof OpenSessionSchema>;

export const SessionSchema = z.object({
  object: z.literal('session'),
  operator: z.boolean(),
  key_id: z.string(),
  scopes: z.array(ScopeSchema),
  /** Whose key it is, or as whom an operator looks; null for an operator. */
  tenant: z.object({ id: z.string(), name: z.string(), state: TenantStateSchema }).nullable(),
  /** An operator looks as that tenant, and can change nothing. */
  viewing: z.boolean(),
  expires_at: TimeSchema,
});
export type SessionResource = z.infer<typeof SessionSchema>;

export const ViewAsSchema = z.strictObject({
  tenant: z.string().min(1).max(255).nullable().describe('Name or id; null leaves the view'),
});
export type ViewAs = z.infer<typeof ViewAsSchema>;

export const SignInLinkSchema = z.object({
  object: z.literal('sign_in_link'),
  /** On this server; works once, until `expires_at`. */
  path: z.string(),
  expires_at: TimeSchema,
});
export type SignInLinkResource = z.infer<typeof SignInLinkSchema>;
