import { createHash, timingSafeEqual } from 'node:crypto';
import { Inject, Injectable, type OnApplicationShutdown, type OnModuleInit } from '@nestjs/common';
import type { Scope } from '#contracts/admin-api.js';
import type { SettingsOf } from '#runtime/settings.js';
import { FRESH_MS } from '#stores/fresh-time.js';
import { isId } from '#stores/ids.js';
import { asDependencyError } from '#stores/postgres/database-error.js';
import { Notifications } from '#stores/postgres/notifications.js';
import { ReadCache } from '#stores/read-cache.js';
import { DataSource } from 'typeorm';
import { hashKey, kindOfKey } from './api-key.js';
import { ApiKey } from './api-key.entity.js';
import { KEYS_CHANNEL } from './keys-channel.js';
import { KeyLastUse } from './key-last-use.service.js';
import type { RateLimits } from './limits/rate-limits.js';
import { OperatorKey } from './operator-key.entity.js';
import type { KnownTenant } from './request-caller.js';
import { ACCOUNTS_SETTINGS, type accountsSettings } from './settings.js';
import { Tenant } from './tenant.entity.js';

export interface KnownKey {
  readonly keyId: string;
  /** `person`: the id is that of someone who signed in without a key. */
  readonly kind: 'api_key' | 'person';
  readonly tenant: KnownTenant;
  readonly scopes: readonly Scope[];
  readonly limits: RateLimits;
  readonly expiresAt: Date | null;
}

interface KnownOperator {
  readonly keyId: string;
  readonly expiresAt: Date | null;
}

const CACHE = { fresh_ms: FRESH_MS, stale_ms: 15 * 60_000, limit: 20_000 };
/** While no change can be heard, everything is asked for again this often. */
const DEAF_MS = 500;
/** The key id under which requests with ADMIN_API_KEY are metered. */
const SETTINGS_KEY_ID = 'operator';

/** Finds a key's tenant and rights on every request: cached, and forgotten everywhere at once when it changes. */
@Injectable()
export class KeyDirectory implements OnModuleInit, OnApplicationShutdown {
  readonly #keys = new ReadCache<KnownKey>(CACHE);
  readonly #operators = new ReadCache<KnownOperator>(CACHE);
  readonly #tenants = new ReadCache<KnownTenant>(CACHE);
  readonly #operatorHash: Buffer;
  #unsubscribe: () => void = () => undefined;
  #expired_ms = 0;

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
      changed: (sha256) => this.#changed(sha256),
      missed: () => this.#expireAll(),
    });
  }

  onApplicationShutdown(): void {
    this.#unsubscribe();
  }

  /** The id of an operator's key; undefined when it is none, or revoked or expired. */
  async findOperator(key: string): Promise<string | undefined> {
    const sha256 = hashKey(key);
    if (this.#isSettingsKey(sha256)) return SETTINGS_KEY_ID;
    return kindOfKey(key) === 'operator' ? this.findOperatorByHash(sha256) : undefined;
  }

  /** The same by the key's hash. */
  async findOperatorByHash(sha256: string): Promise<string | undefined> {
    if (this.#isSettingsKey(sha256)) return SETTINGS_KEY_ID;
    const known = await this.#cached(this.#operators, sha256, () => this.#loadOperator(sha256));
    if (!known || isOver(known.expiresAt)) return undefined;
    this.lastUse.note('operator_keys', known.keyId);
    return known.keyId;
  }

  /** A tenant's key as it stands now; undefined when unknown, revoked or expired. */
  async find(key: string): Promise<KnownKey | undefined> {
    return kindOfKey(key) === 'tenant' ? this.findByHash(hashKey(key)) : undefined;
  }

  /** The same by the key's hash. */
  async findByHash(sha256: string): Promise<KnownKey | undefined> {
    const known = await this.#cached(this.#keys, sha256, () => this.#load(sha256));
    if (!known || isOver(known.expiresAt)) return undefined;
    this.lastUse.note('api_keys', known.keyId);
    return known;
  }

  /** A tenant by name or id. */
  async findTenant(nameOrId: string): Promise<KnownTenant | undefined> {
    return this.#cached(this.#tenants, nameOrId, async () => {
      const where = isId(nameOrId) ? [{ name: nameOrId }, { id: nameOrId }] : { name: nameOrId };
      const tenant = await this.database.getRepository(Tenant).findOne({ where });
      return tenant ? knownTenant(tenant) : undefined;
    });
  }

  #isSettingsKey(sha256: string): boolean {
    return timingSafeEqual(Buffer.from(sha256, 'hex'), this.#operatorHash);
  }

  async #cached<V extends object>(cache: ReadCache<V>, key: string, load: () => Promise<V | undefined>) {
    if (!this.notifications.listening && performance.now() - this.#expired_ms > DEAF_MS) this.#expireAll();
    try {
      return await cache.get(key, load);
    } catch (error) {
      throw asDependencyError(error);
    }
  }

  async #load(sha256: string): Promise<KnownKey | undefined> {
    const row = await this.database
      .getRepository(ApiKey)
      .findOne({ where: [{ sha256 }, { previousSha256: sha256 }], relations: { tenant: true } });
    if (!row?.tenant || row.revokedAt) return undefined;
    const ends = [row.expiresAt, row.sha256 === sha256 ? null : row.previousValidUntil];
    return {
      keyId: row.id,
      kind: 'api_key',
      tenant: knownTenant(row.tenant),
      scopes: row.scopes,
      limits: row.limits,
      expiresAt: earliest(ends),
    };
  }

  async #loadOperator(sha256: string): Promise<KnownOperator | undefined> {
    const row = await this.database.getRepository(OperatorKey).findOne({ where: { sha256 } });
    return !row || row.revokedAt ? undefined : { keyId: row.id, expiresAt: row.expiresAt };
  }

  #changed(sha256: string): void {
    if (sha256 === '') return this.#expireAll();
    this.#keys.forget(sha256);
    this.#operators.forget(sha256);
  }

  #expireAll(): void {
    this.#expired_ms = performance.now();
    this.#keys.expireAll();
    this.#operators.expireAll();
    this.#tenants.expireAll();
  }
}

function knownTenant({ id, name, state, quotas, weight }: Tenant): KnownTenant {
  return { id, name, state, quotas, weight };
}

function isOver(end: Date | null): boolean {
  return end !== null && end.getTime() <= Date.now();
}

function earliest(times: readonly (Date | null)[]): Date | null {
  const [first] = times.filter((time) => time !== null).sort((a, b) => a.getTime() - b.getTime());
  return first ?? null;
}
