import { Injectable } from '@nestjs/common';
import type { FastifyRequest } from 'fastify';
import { hashKey } from '#accounts/api-key.js';
import { Credentials } from '#accounts/credentials.service.js';
import { KeyDirectory } from '#accounts/key-directory.service.js';
import type { ConsoleSession } from '#accounts/sessions/console-session.entity.js';
import { ConsoleSessions, type SessionKey } from '#accounts/sessions/console-sessions.service.js';
import { refuseForeign, sessionSecretOf } from '#accounts/sessions/session-cookie.js';
import { SCOPES } from '#contracts/admin-api.js';
import type { OpenSession, SessionResource, SignInLinkResource } from '#contracts/session-api.js';
import { AppError } from '#runtime/app-error.js';
import { noteActor } from '#runtime/request-context.js';

/** What stands behind a session now. */
type Holder = Pick<SessionResource, 'operator' | 'key_id' | 'person' | 'scopes' | 'tenant'>;

/** A key, or what a session is for. */
type HolderIds = Pick<ConsoleSession, 'keySha256' | 'personId' | 'tenantId' | 'scopes' | 'operator'> &
  Partial<Pick<ConsoleSession, 'person'>>;

/** Signing in, looking as a tenant, signing out. */
@Injectable()
export class SessionService {
  constructor(
    private readonly sessions: ConsoleSessions,
    private readonly keys: KeyDirectory,
    private readonly credentials: Credentials,
  ) {}

  /** The cookie's secret, from the console itself. */
  secretOf({ headers, method }: FastifyRequest): string {
    const secret = sessionSecretOf(headers);
    if (secret === undefined)
      throw new AppError('invalid_api_key', { message: 'There is no console session.' });
    refuseForeign(method, headers);
    return secret;
  }

  /** Whether the browser speaks https to us, or to the proxy in front. */
  isSecure({ protocol }: FastifyRequest): boolean {
    return protocol === 'https';
  }

  async open({ key, link }: OpenSession): Promise<{ secret: string; maxAge_s: number }> {
    const shown = key === undefined ? await this.sessions.takeLink(link ?? '') : await this.#keyOf(key);
    if (!shown) {
      throw new AppError('invalid_api_key', {
        message:
          key === undefined ? 'The sign-in link was used already, or is over.' : 'The API key is not valid.',
      });
    }
    const holder = await this.#holderOfKey(shown);
    noteActor({ type: holder.operator ? 'operator' : 'api_key', id: holder.key_id });
    return { secret: await this.sessions.open(shown), maxAge_s: this.sessions.maxAge_s };
  }

  async describe(secret: string): Promise<SessionResource> {
    const session = await this.#sessionOf(secret);
    const holder = await this.#holderOf(session);
    const { viewedTenantId, expiresAt } = session;
    const viewed = viewedTenantId === null ? undefined : await this.keys.findTenant(viewedTenantId);
    return {
      object: 'session',
      ...holder,
      tenant: viewed ? { id: viewed.id, name: viewed.name, state: viewed.state } : holder.tenant,
      viewing: viewed !== undefined,
      expires_at: expiresAt.toISOString(),
    };
  }

  async view(secret: string, nameOrId: string | null): Promise<void> {
    const session = await this.#sessionOf(secret);
    const holder = await this.#holderOf(session);
    if (!holder.operator)
      throw new AppError('insufficient_scope', { message: 'Only an operator may look as a tenant.' });
    noteActor({ type: 'operator', id: holder.key_id });
    const tenant = nameOrId === null ? null : await this.keys.findTenant(nameOrId);
    if (tenant === undefined)
      throw new AppError('not_found', { message: 'There is no such tenant.', param: 'tenant' });
    await this.sessions.view(session, tenant);
  }

  async link({ headers }: FastifyRequest): Promise<SignInLinkResource> {
    const key = /^Bearer +(\S+) *$/i.exec(headers.authorization ?? '')?.[1];
    const shown = key === undefined ? undefined : await this.#keyOf(key);
    if (!shown) throw new AppError('invalid_api_key');
    const holder = await this.#holderOfKey(shown);
    noteActor({ type: holder.operator ? 'operator' : 'api_key', id: holder.key_id });
    const { secret, expiresAt } = await this.sessions.makeLink(shown);
    // Behind `#`, so that no server and no log of a proxy sees it.
    return {
      object: 'sign_in_link',
      path: `/console/sign-in#${secret}`,
      expires_at: expiresAt.toISOString(),
    };
  }

  /** Whether it was a person's, whom the provider knows as well. */
  async close(secret: string): Promise<{ person: boolean }> {
    const session = await this.sessions.find(secret);
    await this.sessions.close(secret);
    return { person: session?.person !== undefined && session.person !== null };
  }

  async #keyOf(key: string): Promise<SessionKey | undefined> {
    const keySha256 = hashKey(key);
    if ((await this.keys.findOperator(key)) !== undefined) return { keySha256, operator: true };
    return (await this.keys.find(key)) ? { keySha256, operator: false } : undefined;
  }

  async #sessionOf(secret: string): Promise<ConsoleSession> {
    const session = await this.sessions.find(secret);
    if (!session) throw over();
    return session;
  }

  async #holderOf(ids: HolderIds): Promise<Holder> {
    const { operator } = ids;
    const person = ids.person ? { id: ids.person.id, name: ids.person.name } : null;
    if (operator) {
      const keyId = await this.credentials.operatorBehind(ids);
      if (keyId === undefined) throw over();
      return { operator, key_id: keyId, person, scopes: [...SCOPES], tenant: null };
    }
    const known = await this.credentials.keyBehind(ids);
    if (!known) throw over();
    const { id, name, state } = known.tenant;
    return { operator, key_id: known.keyId, person, scopes: [...known.scopes], tenant: { id, name, state } };
  }

  #holderOfKey(key: SessionKey): Promise<Holder> {
    return this.#holderOf({ ...key, personId: null, tenantId: null, scopes: [] });
  }
}

function over(): AppError {
  return new AppError('invalid_api_key', { message: 'The console session is over: sign in again.' });
}
