import { type Scope, SCOPES } from '#contracts/admin-api.js';
import type { OidcRoles } from './oidc-settings.js';

export type Claims = Readonly<Record<string, unknown>>;

export interface ClaimNames {
  readonly tenantClaim: string;
  readonly roleClaim: string;
  readonly roles: OidcRoles;
}

/** What a person may do; a tenant is named as the claim names it. */
export type Access =
  | { readonly kind: 'operator' }
  | { readonly kind: 'tenant'; readonly tenant: string; readonly scopes: readonly Scope[] }
  | { readonly kind: 'refused'; readonly reason: 'no_role' | 'no_tenant' | 'several_tenants' };

/** Roles add up; an operator needs no tenant. Claims of another shape than expected give nothing. */
export function accessOf(claims: Claims, { tenantClaim, roleClaim, roles }: ClaimNames): Access {
  const held = ['*', ...textsOf(claimAt(claims, roleClaim))];
  const given = held.flatMap((role) => (Object.hasOwn(roles, role) && roles[role] ? [roles[role]] : []));
  if (given.includes('operator')) return { kind: 'operator' };
  const scopes = SCOPES.filter((scope) => given.some((each) => each.includes(scope)));
  if (scopes.length === 0) return { kind: 'refused', reason: 'no_role' };
  const [tenant, ...others] = new Set(textsOf(claimAt(claims, tenantClaim)));
  if (tenant === undefined) return { kind: 'refused', reason: 'no_tenant' };
  if (others.length > 0) return { kind: 'refused', reason: 'several_tenants' };
  return { kind: 'tenant', tenant, scopes };
}

/** `a.b` is the claim of that very name (names may be URLs), else the member b of the claim a. */
export function claimAt(claims: Claims, name: string): unknown {
  if (Object.hasOwn(claims, name)) return claims[name];
  let value: unknown = claims;
  for (const step of name.split('.')) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, step)) return undefined;
    value = (value as Record<string, unknown>)[step];
  }
  return value;
}

/** How people will know whose session it is. */
export function displayName(claims: Claims, subject: string): string {
  const candidates = [claims.email, claims.preferred_username, claims.name];
  return textsOf(candidates).at(0)?.slice(0, 255) ?? subject;
}

function textsOf(value: unknown): string[] {
  const values: unknown[] = Array.isArray(value) ? value : [value];
  return values.filter((each): each is string => typeof each === 'string' && each !== '');
}
