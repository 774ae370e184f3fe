import { describe, expect, it } from 'vitest';
import { accessOf, claimAt, displayName } from './oidc-claims.js';

const names = {
  tenantClaim: 'tenant',
  roleClaim: 'roles',
  roles: { admins: 'operator' as const, ml: ['adapters' as const], apps: ['inference' as const] },
};

describe('what claims give', () => {
  it('adds up the roles of a list or a text, in one tenant', () => {
    expect(accessOf({ roles: ['apps', 'ml', 'x'], tenant: 'acme' }, names)).toEqual({
      kind: 'tenant',
      tenant: 'acme',
      scopes: ['inference', 'adapters'],
    });
    expect(accessOf({ roles: 'ml', tenant: ['acme', 'acme'] }, names)).toMatchObject({
      scopes: ['adapters'],
    });
    expect(accessOf({ roles: ['ml', 'admins'] }, names)).toEqual({ kind: 'operator' });
  });

  it('gives nothing for a role that is not named, nor for what an object inherits', () => {
    for (const roles of [undefined, [], 'x', 'constructor', ['__proto__'], { ml: true }, 7, [['ml']]])
      expect(accessOf({ roles, tenant: 'acme' }, names)).toEqual({ kind: 'refused', reason: 'no_role' });
    expect(accessOf({ roles: 'ml' }, names)).toMatchObject({ reason: 'no_tenant' });
    expect(accessOf({ roles: 'ml', tenant: { name: 'acme' } }, names)).toMatchObject({ reason: 'no_tenant' });
    expect(accessOf({ roles: 'ml', tenant: ['a', 'b'] }, names)).toMatchObject({ reason: 'several_tenants' });
  });

  it('gives everybody what "*" names', () => {
    const roles = { '*': ['usage' as const], ml: ['adapters' as const] };
    expect(accessOf({ tenant: 'a' }, { ...names, roles })).toMatchObject({ scopes: ['usage'] });
    expect(accessOf({ tenant: 'a', roles: 'ml' }, { ...names, roles })).toMatchObject({
      scopes: ['adapters', 'usage'],
    });
  });
});

it('finds claims by their whole name first, then along the dots', () => {
  const claims = { 'https://acme.example/roles': ['a'], realm_access: { roles: ['b'] } };
  expect(claimAt(claims, 'https://acme.example/roles')).toEqual(['a']);
  expect(claimAt(claims, 'realm_access.roles')).toEqual(['b']);
  expect(claimAt(claims, 'toString')).toBeUndefined();
});

it('calls a person by e-mail address, user name, name, else the subject', () => {
  expect(displayName({ email: 'a@b', name: 'A' }, 's')).toBe('a@b');
  expect(displayName({ name: 'A', email: 7 }, 's')).toBe('A');
  expect(displayName({}, 's')).toBe('s');
});
