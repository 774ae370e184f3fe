import { Injectable } from '@nestjs/common';
import { AppError } from '#runtime/app-error.js';
import type { FastifyRequest } from 'fastify';
import { keyOf, showsKey } from './key-header.js';
import { KeyDirectory, type KnownKey } from './key-directory.service.js';
import type { ConsoleSession } from './sessions/console-session.entity.js';
import { ConsoleSessions } from './sessions/console-sessions.service.js';
import { refuseForeign, sessionSecretOf } from './sessions/session-cookie.js';

/** The key or the person behind a request: an operator's, or a tenant's. */
export type Credential =
  | { readonly operatorId: string; readonly known: undefined; readonly viewedTenantId: string | undefined }
  | { readonly operatorId: undefined; readonly known: KnownKey; readonly viewedTenantId: undefined };

type SessionHolderIds = Pick<ConsoleSession, 'keySha256' | 'personId' | 'tenantId' | 'scopes'>;

/** Finds the key that a request shows: in a header, or behind a console session's cookie. */
@Injectable()
export class Credentials {
  constructor(
    private readonly keys: KeyDirectory,
    private readonly sessions: ConsoleSessions,
  ) {}

  /** Throws invalid_api_key where there is no valid one, insufficient_scope where another site sent the cookie. */
  async of({ headers, method }: Pick<FastifyRequest, 'headers' | 'method'>): Promise<Credential> {
    const secret = showsKey(headers) ? undefined : sessionSecretOf(headers);
    if (secret !== undefined) {
      refuseForeign(method, headers);
      return this.#ofSession(secret);
    }
    const key = keyOf(headers);
    const operatorId = await this.keys.findOperator(key);
    if (operatorId !== undefined) return { operatorId, known: undefined, viewedTenantId: undefined };
    return tenantsOwn(await this.keys.find(key), 'invalid');
  }

  async #ofSession(secret: string): Promise<Credential> {
    const session = await this.sessions.find(secret);
    if (!session) throw over();
    if (!session.operator) return tenantsOwn(await this.keyBehind(session), 'over');
    const operatorId = await this.operatorBehind(session);
    if (operatorId === undefined) throw over();
    return { operatorId, known: undefined, viewedTenantId: session.viewedTenantId ?? undefined };
  }

  /** The id of an operator's session: of the key, while it is valid, or of the person. */
  async operatorBehind({ keySha256, personId }: SessionHolderIds): Promise<string | undefined> {
    return keySha256 === null ? (personId ?? undefined) : this.keys.findOperatorByHash(keySha256);
  }

  /** A tenant's session: what its key may do while it is valid, or what the person may do, as if it were a key. */
  async keyBehind(session: SessionHolderIds): Promise<KnownKey | undefined> {
    const { keySha256, personId, tenantId, scopes } = session;
    if (keySha256 !== null) return this.keys.findByHash(keySha256);
    const tenant = tenantId === null ? undefined : await this.keys.findTenant(tenantId);
    if (personId === null || !tenant) return undefined;
    return { keyId: personId, kind: 'person', tenant, scopes, limits: {}, expiresAt: null };
  }
}

function tenantsOwn(known: KnownKey | undefined, otherwise: 'invalid' | 'over'): Credential {
  if (known) return { operatorId: undefined, known, viewedTenantId: undefined };
  throw otherwise === 'over' ? over() : new AppError('invalid_api_key');
}

function over(): AppError {
  return new AppError('invalid_api_key', { message: 'The console session is over: sign in again.' });
}
