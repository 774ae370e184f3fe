import { z } from 'zod';
import { ScopeSchema } from '#contracts/admin-api.js';
import { setting, text } from '#runtime/settings.js';

const LOOPBACK = /^(localhost|127(\.\d+){3}|\[::1\])$/;

/** Every role that the claim may hold, and what it gives; `*` stands for whoever the provider lets in. */
const RolesSchema = z.record(
  z.string().min(1),
  z.union([z.literal('operator'), z.array(ScopeSchema).min(1)], 'expected "operator" or a list of scopes'),
);
export type OidcRoles = z.infer<typeof RolesSchema>;

const DEFAULT_ROLES =
  '{"lorikeet-operator": "operator", "lorikeet-tenant": ["inference", "adapters", "usage"]}';

function readRoles(value: string, context: z.RefinementCtx): OidcRoles {
  let json: unknown;
  try {
    json = JSON.parse(value);
  } catch {
    context.addIssue(`expected a JSON object such as ${DEFAULT_ROLES}`);
    return z.NEVER;
  }
  const { data, error } = RolesSchema.safeParse(json);
  if (error) {
    for (const { path, message } of error.issues) context.addIssue(`at "${path.join('.')}": ${message}`);
    return z.NEVER;
  }
  if (data['*'] === 'operator') {
    context.addIssue('"*" cannot be "operator": everybody whom the provider knows would be one');
    return z.NEVER;
  }
  return data;
}

function checkIssuer(value: string | undefined, context: z.RefinementCtx): void {
  if (value === undefined) return;
  const url = URL.canParse(value) ? new URL(value) : undefined;
  const safe = url?.protocol === 'https:' || (url?.protocol === 'http:' && LOOPBACK.test(url.hostname));
  if (!safe) context.addIssue(`expected an https URL (http only on this machine), got "${value}"`);
  else if (url.search !== '' || url.hash !== '') context.addIssue('expected a URL without a query');
}

/** Signing in to the console by OpenID Connect; without an issuer there is none. */
export const oidcSettings = {
  oidcIssuer: setting(
    {
      name: 'OIDC_ISSUER',
      summary: 'Issuer URL of the OpenID Connect provider whose people may sign in to the console',
    },
    text.optional().superRefine(checkIssuer),
  ),
  oidcClientId: setting(
    {
      name: 'OIDC_CLIENT_ID',
      summary: 'The console as the OpenID Connect provider knows it',
      defaultText: '`lorikeet`',
    },
    text.string('lorikeet'),
  ),
  oidcClientSecret: setting(
    {
      name: 'OIDC_CLIENT_SECRET',
      summary: 'Its secret there; without one it is a public client, which PKCE protects',
      secret: true,
    },
    text.optional(),
  ),
  oidcScopes: setting(
    {
      name: 'OIDC_SCOPES',
      summary: 'Scopes that are asked of the provider',
      defaultText: '`openid profile email`',
    },
    text
      .string('openid profile email')
      .refine((value) => value.split(/\s+/).includes('openid'), 'expected scopes with `openid` among them'),
  ),
  oidcName: setting(
    {
      name: 'OIDC_NAME',
      summary: 'What the button on the sign-in page calls the provider',
      defaultText: '`single sign-on`',
    },
    text.string('single sign-on'),
  ),
  oidcTenantClaim: setting(
    {
      name: 'OIDC_TENANT_CLAIM',
      summary: "Claim that holds the name of a person's tenant; dots lead into objects",
      defaultText: '`tenant`',
    },
    text.string('tenant'),
  ),
  oidcRoleClaim: setting(
    {
      name: 'OIDC_ROLE_CLAIM',
      summary: "Claim that holds a person's roles (a text or a list); dots lead into objects",
      defaultText: '`roles`',
    },
    text.string('roles'),
  ),
  oidcRoles: setting(
    {
      name: 'OIDC_ROLES',
      summary: 'What each role gives, as JSON: `"operator"`, or scopes within the tenant; `"*"` is everybody',
      defaultText: `\`${DEFAULT_ROLES}\``,
    },
    z.string().default(DEFAULT_ROLES).transform(readRoles),
  ),
  oidcSessionMax_s: setting(
    {
      name: 'OIDC_SESSION_MAX_SECONDS',
      summary:
        'How long a session by OpenID Connect lasts in all; only a new sign-in asks the provider again',
      defaultText: '43200 (12 hours)',
    },
    text.integer(43_200, 60, 30 * 86_400),
  ),
};
