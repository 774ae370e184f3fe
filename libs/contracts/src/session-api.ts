import { z } from 'zod';
import { ScopeSchema, TenantStateSchema } from './admin-api.js';
import { listOf, TimeSchema } from './resource.js';

/** `/v1/session`: a person at the console. The session's secret is a cookie that no script can read. */

export const OpenSessionSchema = z
  .strictObject({
    key: z.string().min(1).max(512).optional().describe("An operator's or a tenant's key"),
    link: z.string().min(1).max(512).optional().describe('The secret of a sign-in link'),
  })
  .refine(({ key, link }) => (key === undefined) !== (link === undefined), 'expected either key or link');
export type OpenSession = z.infer<typeof OpenSessionSchema>;

const PersonSchema = z.object({ id: z.string(), name: z.string() });

export const SessionSchema = z.object({
  object: z.literal('session'),
  operator: z.boolean(),
  /** Of the key, or of the person. */
  key_id: z.string(),
  /** Who signed in by OpenID Connect; null: a key did. */
  person: PersonSchema.nullable(),
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

/** `GET /v1/session/methods`: how one may sign in. */
export const SignInMethodsSchema = z.object({
  object: z.literal('session.methods'),
  /** Null: there is no OpenID Connect provider. `url`: where the browser begins; takes `?next=` a path of the console. */
  oidc: z.object({ name: z.string(), url: z.string() }).nullable(),
});
export type SignInMethods = z.infer<typeof SignInMethodsSchema>;

/** What `/v1/session/oidc/callback` says in `/console/sign-in?refused=` where it makes no session. */
export const SIGN_IN_REFUSALS = [
  'cancelled',
  'expired',
  'no_role',
  'no_tenant',
  'provider',
  'several_tenants',
  'unknown_tenant',
  'used',
] as const;
export type SignInRefusal = (typeof SIGN_IN_REFUSALS)[number];

export const ClosedSessionSchema = z.object({
  id: z.literal('current'),
  object: z.literal('session'),
  deleted: z.literal(true),
  /** Where the OpenID Connect provider ends its own session; null: there is none to end. */
  end_session_url: z.string().nullable(),
});
export type ClosedSession = z.infer<typeof ClosedSessionSchema>;

/** `/v1/admin/sessions`: who is signed in to the console. */
export const OpenConsoleSessionSchema = z.object({
  id: z.string(),
  object: z.literal('console_session'),
  operator: z.boolean(),
  /** Name; null for an operator. */
  tenant: z.string().nullable(),
  /** As whom an operator looks. */
  viewed_tenant: z.string().nullable(),
  /** Null: a person, or the key in ADMIN_API_KEY. */
  key: z.object({ id: z.string(), name: z.string() }).nullable(),
  person: PersonSchema.nullable(),
  created_at: TimeSchema,
  last_used_at: TimeSchema,
  expires_at: TimeSchema,
});
export type OpenConsoleSession = z.infer<typeof OpenConsoleSessionSchema>;
export const OpenConsoleSessionListSchema = listOf(OpenConsoleSessionSchema);

export const EndedSessionsSchema = z.object({
  object: z.literal('console_session'),
  deleted: z.literal(true),
  /** How many there were. */
  count: z.int(),
});
export type EndedSessions = z.infer<typeof EndedSessionsSchema>;
