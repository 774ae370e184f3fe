import { Inject, Injectable } from '@nestjs/common';
import { type List, listPage, type PageQuery } from '#contracts/resource.js';
import type { OpenConsoleSession } from '#contracts/session-api.js';
import { AppError } from '#runtime/app-error.js';
import type { SettingsOf } from '#runtime/settings.js';
import { AuditLog } from '#stores/audit/audit-log.service.js';
import { isId } from '#stores/ids.js';
import { Notifications } from '#stores/postgres/notifications.js';
import { DataSource } from 'typeorm';
import { ACCOUNTS_SETTINGS, type accountsSettings } from '../settings.js';
import { unknownCursor } from '../tenants.service.js';
import { ConsoleSession } from './console-session.entity.js';
import { SESSIONS_CHANNEL } from './console-sessions.service.js';

interface Row {
  readonly id: string;
  readonly operator: boolean;
  readonly key_id: string | null;
  readonly key_name: string | null;
  readonly person_id: string | null;
  readonly person_name: string | null;
  readonly tenant: string | null;
  readonly viewed_tenant: string | null;
  readonly created_at: Date;
  readonly last_used_at: Date;
  readonly expires_at: Date;
}

// A key's hash is looked up among both kinds of keys; the one in ADMIN_API_KEY stands in neither.
const OPEN_SESSIONS = `
  SELECT session.id, session.operator, session.created_at, session.last_used_at, session.expires_at,
    COALESCE(api_key.id, operator_key.id) AS key_id, COALESCE(api_key.name, operator_key.name) AS key_name,
    person.id AS person_id, person.name AS person_name,
    tenant.name AS tenant, viewed.name AS viewed_tenant
  FROM console_sessions session
  LEFT JOIN api_keys api_key ON session.key_sha256 IN (api_key.sha256, api_key.previous_sha256)
  LEFT JOIN operator_keys operator_key ON operator_key.sha256 = session.key_sha256
  LEFT JOIN console_people person ON person.id = session.person_id
  LEFT JOIN tenants tenant ON tenant.id = COALESCE(api_key.tenant_id, session.tenant_id)
  LEFT JOIN tenants viewed ON viewed.id = session.viewed_tenant_id
  WHERE session.expires_at > now() AND session.last_used_at > now() - make_interval(secs => $1)
    AND api_key.revoked_at IS NULL AND operator_key.revoked_at IS NULL
    AND ($2::uuid IS NULL OR session.id < $2)
  ORDER BY session.id DESC LIMIT $3`;

/** Who is signed in to the console, for the operator. */
@Injectable()
export class SessionList {
  constructor(
    private readonly database: DataSource,
    @Inject(ACCOUNTS_SETTINGS) private readonly settings: SettingsOf<typeof accountsSettings>,
  ) {}

  /** Newest first. */
  async list({ limit, after }: PageQuery): Promise<List<OpenConsoleSession>> {
    if (after !== undefined && !isId(after)) throw unknownCursor();
    const values = [this.settings.sessionIdle_s, after ?? null, limit + 1];
    const rows: Row[] = await this.database.query(OPEN_SESSIONS, values);
    return listPage(rows.map(toResource), limit);
  }

  /** Ends every session, each with its own entry in the audit log; returns how many. */
  async revokeAll(): Promise<number> {
    const sessions = await this.database.manager.find(ConsoleSession, { select: { id: true } });
    let ended = 0;
    for (const { id } of sessions) ended += (await this.#end(id)) ? 1 : 0;
    return ended;
  }

  /** Ends a session in every process; a person may sign in again while the provider lets them. */
  async revoke(id: string): Promise<void> {
    if (!(await this.#end(id))) throw new AppError('not_found', { message: 'There is no such session.' });
  }

  /** False: there is none. */
  #end(id: string): Promise<boolean> {
    return this.database.transaction(async (manager) => {
      const session = isId(id) ? await manager.findOneBy(ConsoleSession, { id }) : null;
      if (!session) return false;
      await manager.delete(ConsoleSession, { id });
      await AuditLog.record(manager, {
        ...(session.tenantId === null ? {} : { tenantId: session.tenantId }),
        action: 'console_session.revoke',
        subject: { type: 'console_session', id },
      });
      await Notifications.publish(manager, SESSIONS_CHANNEL, session.sha256);
      return true;
    });
  }
}

function toResource(row: Row): OpenConsoleSession {
  return {
    id: row.id,
    object: 'console_session',
    operator: row.operator,
    tenant: row.tenant,
    viewed_tenant: row.viewed_tenant,
    key: row.key_id === null ? null : { id: row.key_id, name: row.key_name ?? '' },
    person: row.person_id === null ? null : { id: row.person_id, name: row.person_name ?? '' },
    created_at: row.created_at.toISOString(),
    last_used_at: row.last_used_at.toISOString(),
    expires_at: row.expires_at.toISOString(),
  };
}
