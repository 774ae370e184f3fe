import { createHash, timingSafeEqual } from 'node:crypto';
import { Inject, Injectable, type OnApplicationShutdown, type OnModuleInit } from '@nestjs/common';
import type { Scope } from '#contracts/admin-api.js';
import type { SettingsOf } from '#runtime/settings.js';
import { isId } from '#stores/ids.js';
import { asDependencyError } from '#stores/postgres/database-error.js';
import { Notifications } from '#stores/postgres/notifications.js';
import { ReadCache } from '#stores/read-cache.js';
import { DataSource } from 'typeorm';
import { hashKey, isKey } from './api-key.js';
import { ApiKey } from './api-key.entity.js';
import { KeyLastUse } from './key-last-use.service.js';
import { ACCOUNTS_SETTINGS, type accountsSettings } from './settings.js';
import { Tenant } from './tenant.entity.js';

export interface KnownKey {
  readonly keyId: string;
  readonly tenantId: string;
  readonly tenantName: string;
  readonly tenantState: 'active' | 'suspended';
  readonly scopes: readonly Scope[];
  readonly expiresAt: Date | null;
}

/** Announces a changed key (payload: its hash) or a changed tenant (no payload). */
export const KEYS_CHANNEL = 'lorikeet_keys';

const CACHE = { fresh_ms: 5_000, stale_ms: 15 * 60_000, limit: 20_000 };

/** Finds a key's tenant and rights on every request: cached, and forgotten everywhere at once when it changes. */
@Injectable()
export class KeyDirectory implements OnModuleInit, OnApplicationShutdown {
  readonly #keys = new ReadCache<KnownKey>(CACHE);
  readonly #tenants = new ReadCache<{ id: string; name: string }>(CACHE);
  readonly #operatorHash: Buffer;
  #unsubscribe: () => void = () => undefined;

  constructor(
    private readonly database: DataSource,
    private readonly notifications: Notifications,
    private readonly lastUse: KeyLastUse,
    @Inject(ACCOUNTS_SETTINGS) settings: SettingsOf<typeof accountsSettings>,
  ) {
    this.#operatorHash = createHash('sha256').update(settings.adminApiKey).digest();
  }

  onModuleInit(): void {
    this.#unsubscribe = this.notifications.subscribe(KEYS_CHANNEL, {
      changed: (sha256) => (sha256 === '' ? this.#expireAll() : this.#keys.forget(sha256)),
      missed: () => this.#expireAll(),
    });
  }

  onApplicationShutdown(): void {
    this.#unsubscribe();
  }

  isOperator(key: string): boolean {
    return timingSafeEqual(createHash('sha256').update(key).digest(), this.#operatorHash);
  }

  /** The key as it stands now; undefined when unknown, revoked or expired. */
  async find(key: string): Promise<KnownKey | undefined> {
    if (!isKey(key)) return undefined;
    const sha256 = hashKey(key);
    const known = await this.#cached(this.#keys, sha256, () => this.#load(sha256));
    if (!known || (known.expiresAt && known.expiresAt.getTime() <= Date.now())) return undefined;
    this.lastUse.note(known.keyId);
    return known;
  }

  /** A tenant by name or id. */
  async findTenant(nameOrId: string): Promise<{ id: string; name: string } | undefined> {
    return this.#cached(this.#tenants, nameOrId, async () => {
      const where = isId(nameOrId) ? [{ name: nameOrId }, { id: nameOrId }] : { name: nameOrId };
      const tenant = await this.database.getRepository(Tenant).findOne({ where });
      return tenant ? { id: tenant.id, name: tenant.name } : undefined;
    });
  }

  async #cached<V extends object>(cache: ReadCache<V>, key: string, load: () => Promise<V | undefined>) {
    try {
      return await cache.get(key, load);
    } catch (error) {
      throw asDependencyError(error);
    }
  }

  async #load(sha256: string): Promise<KnownKey | undefined> {
    const row = await this.database
      .getRepository(ApiKey)
      .findOne({ where: { sha256 }, relations: { tenant: true } });
    if (!row?.tenant || row.revokedAt) return undefined;
    return {
      keyId: row.id,
      tenantId: row.tenantId,
      tenantName: row.tenant.name,
      tenantState: row.tenant.state,
      scopes: row.scopes,
      expiresAt: row.expiresAt,
    };
  }

  #expireAll(): void {
    this.#keys.expireAll();
    this.#tenants.expireAll();
  }
}
