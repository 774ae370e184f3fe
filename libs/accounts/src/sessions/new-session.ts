import { randomBytes } from 'node:crypto';
import type { Scope } from '#contracts/admin-api.js';
import { AuditLog } from '#stores/audit/audit-log.service.js';
import { newId } from '#stores/ids.js';
import type { EntityManager } from 'typeorm';
import { hashKey } from '../api-key.js';
import type { ConsolePerson } from './console-person.entity.js';
import { ConsoleSession } from './console-session.entity.js';

/** Whose session it will be: a key's, or a person's with what the person may do. */
export type SessionHolder =
  | { readonly keySha256: string; readonly operator: boolean }
  | {
      readonly person: ConsolePerson;
      readonly operator: boolean;
      /** Null for an operator. */
      readonly tenantId: string | null;
      readonly scopes: readonly Scope[];
    };

/** Stores a session that lasts `max_s`; returns the secret for its cookie. */
export async function insertSession(
  manager: EntityManager,
  holder: SessionHolder,
  max_s: number,
): Promise<string> {
  await manager.query('DELETE FROM console_sessions WHERE expires_at < now()');
  const secret = randomBytes(32).toString('base64url');
  const [id, now] = [newId(), new Date()];
  const { operator } = holder;
  const person = 'person' in holder ? holder.person : undefined;
  const tenantId = 'person' in holder ? holder.tenantId : null;
  await manager.insert(ConsoleSession, {
    id,
    sha256: hashKey(secret),
    keySha256: 'person' in holder ? null : holder.keySha256,
    personId: person?.id ?? null,
    tenantId,
    scopes: 'person' in holder ? [...holder.scopes] : [],
    operator,
    viewedTenantId: null,
    createdAt: now,
    lastUsedAt: now,
    expiresAt: new Date(now.getTime() + max_s * 1000),
  });
  await AuditLog.record(manager, {
    ...(tenantId === null ? {} : { tenantId }),
    action: 'console_session.open',
    subject: { type: 'console_session', id },
    after: { operator, ...(person ? { person: person.name } : {}) },
  });
  return secret;
}
