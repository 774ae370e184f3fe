import { randomBytes } from 'node:crypto';
import { Inject, Injectable, type OnApplicationShutdown, type OnModuleInit } from '@nestjs/common';
import type { SettingsOf } from '#runtime/settings.js';
import { AuditLog } from '#stores/audit/audit-log.service.js';
import { newId } from '#stores/ids.js';
import { asDependencyError } from '#stores/postgres/database-error.js';
import { Notifications } from '#stores/postgres/notifications.js';
import { ReadCache } from '#stores/read-cache.js';
import { DataSource } from 'typeorm';
import { hashKey } from '../api-key.js';
import { ACCOUNTS_SETTINGS, type accountsSettings } from '../settings.js';
import { ConsoleSession } from './console-session.entity.js';
import { insertSession } from './new-session.js';
import { SignInLink } from './sign-in-link.entity.js';

/** Payload: the hash of the session that changed or ended. */
export const SESSIONS_CHANNEL = 'lorikeet_sessions';
const CACHE = { fresh_ms: 5_000, stale_ms: 60_000, limit: 5_000 };
const LINK_LIFE_MS = 15 * 60_000;
const NOTE_EVERY_MS = 60_000;

/** The key behind a session. */
export interface SessionKey {
  readonly keySha256: string;
  readonly operator: boolean;
}

/** Cookies of the console: each stands for a key, whose end is its own end too, or for a person. */
@Injectable()
export class ConsoleSessions implements OnModuleInit, OnApplicationShutdown {
  readonly #sessions = new ReadCache<ConsoleSession>(CACHE);
  #unsubscribe: () => void = () => undefined;

  constructor(
    private readonly database: DataSource,
    private readonly notifications: Notifications,
    @Inject(ACCOUNTS_SETTINGS) private readonly settings: SettingsOf<typeof accountsSettings>,
  ) {}

  onModuleInit(): void {
    this.#unsubscribe = this.notifications.subscribe(SESSIONS_CHANNEL, {
      changed: (sha256) => this.#sessions.forget(sha256),
      missed: () => this.#sessions.expireAll(),
    });
  }

  onApplicationShutdown(): void {
    this.#unsubscribe();
  }

  get maxAge_s(): number {
    return this.settings.sessionMax_s;
  }

  /** As the provider's ID tokens name it. */
  get issuer(): string | undefined {
    return this.settings.oidcIssuer;
  }

  /** The secret for the cookie. */
  open(key: SessionKey): Promise<string> {
    return this.database.transaction((manager) => insertSession(manager, key, this.settings.sessionMax_s));
  }

  /** The session of a cookie while it lasts; its key or tenant has to be looked at besides. */
  async find(secret: string): Promise<ConsoleSession | undefined> {
    const sha256 = hashKey(secret);
    const session = await this.#load(sha256);
    // Whom another provider vouched for, or none that is still asked, is signed in no more.
    if (!session || (session.person && session.person.issuer !== this.issuer)) return undefined;
    const now_ms = Date.now();
    const idleEnd_ms = session.lastUsedAt.getTime() + this.settings.sessionIdle_s * 1000;
    if (now_ms >= Math.min(idleEnd_ms, session.expiresAt.getTime())) return undefined;
    if (now_ms - session.lastUsedAt.getTime() >= NOTE_EVERY_MS) await this.#noteUse(session);
    return session;
  }

  async close(secret: string): Promise<void> {
    const sha256 = hashKey(secret);
    await this.database.transaction(async (manager) => {
      await manager.delete(ConsoleSession, { sha256 });
      await Notifications.publish(manager, SESSIONS_CHANNEL, sha256);
    });
    this.#sessions.forget(sha256);
  }

  /** Makes the session see what a tenant sees, without being able to change it; null: itself again. */
  async view(session: ConsoleSession, tenant: { id: string; name: string } | null): Promise<void> {
    await this.database.transaction(async (manager) => {
      await manager.update(ConsoleSession, { id: session.id }, { viewedTenantId: tenant?.id ?? null });
      const tenantId = tenant?.id ?? session.viewedTenantId;
      await AuditLog.record(manager, {
        ...(tenantId === null ? {} : { tenantId }),
        action: tenant ? 'console_session.view' : 'console_session.unview',
        subject: { type: 'console_session', id: session.id },
        ...(tenant ? { after: { tenant: tenant.name } } : {}),
      });
      await Notifications.publish(manager, SESSIONS_CHANNEL, session.sha256);
    });
    this.#sessions.forget(session.sha256);
  }

  /** A secret that signs in once, for so long. */
  async makeLink({ keySha256, operator }: SessionKey): Promise<{ secret: string; expiresAt: Date }> {
    const secret = randomBytes(32).toString('base64url');
    const expiresAt = new Date(Date.now() + LINK_LIFE_MS);
    await this.database.transaction(async (manager) => {
      await manager.query('DELETE FROM sign_in_links WHERE expires_at < now()');
      const id = newId();
      await manager.insert(SignInLink, { id, sha256: hashKey(secret), keySha256, operator, expiresAt });
      await AuditLog.record(manager, {
        action: 'sign_in_link.create',
        subject: { type: 'sign_in_link', id },
        after: { expires_at: expiresAt.toISOString() },
      });
    });
    return { secret, expiresAt };
  }

  /** Whose link it was; undefined when it was used already, is over, or never was. */
  async takeLink(secret: string): Promise<SessionKey | undefined> {
    const [rows] = (await this.database.query(
      'DELETE FROM sign_in_links WHERE sha256 = $1 AND expires_at > now() RETURNING key_sha256, operator',
      [hashKey(secret)],
    )) as [{ key_sha256: string; operator: boolean }[], number];
    const [row] = rows;
    return row && { keySha256: row.key_sha256, operator: row.operator };
  }

  async #load(sha256: string): Promise<ConsoleSession | undefined> {
    if (!this.notifications.listening) this.#sessions.expireAll();
    try {
      return await this.#sessions.get(sha256, async () => {
        const row = await this.database
          .getRepository(ConsoleSession)
          .findOne({ where: { sha256 }, relations: { person: true } });
        return row ?? undefined;
      });
    } catch (error) {
      throw asDependencyError(error);
    }
  }

  async #noteUse(session: ConsoleSession): Promise<void> {
    session.lastUsedAt = new Date();
    await this.database
      .getRepository(ConsoleSession)
      .update({ id: session.id }, { lastUsedAt: session.lastUsedAt })
      .catch(() => undefined); // a session that is not noted ends earlier, nothing else
  }
}
