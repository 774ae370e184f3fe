import { Inject, Injectable } from '@nestjs/common';
import { noteActor } from '#runtime/request-context.js';
import type { SettingsOf } from '#runtime/settings.js';
import { newId } from '#stores/ids.js';
import { DataSource, type EntityManager } from 'typeorm';
import { hashKey } from '../api-key.js';
import { KeyDirectory } from '../key-directory.service.js';
import { ACCOUNTS_SETTINGS, type accountsSettings } from '../settings.js';
import { ConsolePerson } from './console-person.entity.js';
import { insertSession } from './new-session.js';
import { type Access, accessOf, displayName } from './oidc-claims.js';
import type { ProvenPerson } from './oidc-client.service.js';
import { UsedSignIn } from './used-sign-in.entity.js';

type Refusal = Extract<Access, { kind: 'refused' }>['reason'] | 'unknown_tenant' | 'used';

export type SignInResult =
  | { readonly kind: 'signed_in'; readonly secret: string }
  | { readonly kind: 'refused'; readonly reason: Refusal };

/** Turns whom the provider vouched for into a session, as far as the claims give something. */
@Injectable()
export class PersonSignIn {
  constructor(
    private readonly database: DataSource,
    private readonly keys: KeyDirectory,
    @Inject(ACCOUNTS_SETTINGS) private readonly settings: SettingsOf<typeof accountsSettings>,
  ) {}

  /** `state`: of the answer; it makes one session and no second. */
  async signIn({ issuer, subject, claims }: ProvenPerson, state: string): Promise<SignInResult> {
    const { oidcTenantClaim, oidcRoleClaim, oidcRoles } = this.settings;
    const names = { tenantClaim: oidcTenantClaim, roleClaim: oidcRoleClaim, roles: oidcRoles };
    const access = accessOf(claims, names);
    if (access.kind === 'refused') return access;
    const tenant = access.kind === 'tenant' ? await this.keys.findTenant(access.tenant) : null;
    if (tenant === undefined) return { kind: 'refused', reason: 'unknown_tenant' };
    return this.database.transaction(async (manager): Promise<SignInResult> => {
      if (!(await useOnce(manager, state))) return { kind: 'refused', reason: 'used' };
      const person = await rememberPerson(manager, issuer, subject, displayName(claims, subject));
      noteActor({ type: access.kind === 'operator' ? 'operator' : 'person', id: person.id });
      const holder = {
        person,
        operator: access.kind === 'operator',
        tenantId: tenant?.id ?? null,
        scopes: access.kind === 'tenant' ? access.scopes : [],
      };
      return {
        kind: 'signed_in',
        secret: await insertSession(manager, holder, this.settings.oidcSessionMax_s),
      };
    });
  }
}

async function useOnce(manager: EntityManager, state: string): Promise<boolean> {
  await manager.query('DELETE FROM used_sign_ins WHERE expires_at < now()');
  const { raw } = await manager
    .createQueryBuilder()
    .insert()
    .into(UsedSignIn)
    .values({ stateSha256: hashKey(state), expiresAt: () => "now() + interval '1 day'" })
    .orIgnore()
    .returning('state_sha256')
    .execute();
  return (raw as unknown[]).length === 1;
}

async function rememberPerson(
  manager: EntityManager,
  issuer: string,
  subject: string,
  name: string,
): Promise<ConsolePerson> {
  const now = new Date();
  const fresh = { id: newId(), issuer, subject, name, createdAt: now, lastSignInAt: now };
  await manager.createQueryBuilder().insert().into(ConsolePerson).values(fresh).orIgnore().execute();
  await manager.update(ConsolePerson, { issuer, subject }, { name, lastSignInAt: now });
  return manager.findOneByOrFail(ConsolePerson, { issuer, subject });
}
