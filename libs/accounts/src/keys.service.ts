import { Injectable } from '@nestjs/common';
import type { ApiKeyResource, CreatedKey, CreateKey, PatchKey, RotateKey } from '#contracts/admin-api.js';
import { type List, listPage, type PageQuery } from '#contracts/resource.js';
import { AppError } from '#runtime/app-error.js';
import { AuditLog } from '#stores/audit/audit-log.service.js';
import { isId, newId } from '#stores/ids.js';
import { Notifications } from '#stores/postgres/notifications.js';
import { DataSource, LessThan } from 'typeorm';
import { makeKey } from './api-key.js';
import { ApiKey } from './api-key.entity.js';
import { KEYS_CHANNEL } from './keys-channel.js';
import { patched, rateLimitsResource } from './limits/rate-limits.js';
import type { Tenant } from './tenant.entity.js';
import { TenantsService, unknownCursor } from './tenants.service.js';

interface KeyName {
  readonly tenant: string;
  readonly keyId: string;
}

@Injectable()
export class KeysService {
  constructor(
    private readonly database: DataSource,
    private readonly tenants: TenantsService,
  ) {}

  async create(tenantName: string, body: CreateKey): Promise<CreatedKey> {
    const tenant = await this.tenants.find(tenantName);
    const { key, sha256, prefix } = makeKey('tenant');
    const row = Object.assign(new ApiKey(), {
      id: newId(),
      tenantId: tenant.id,
      name: body.name,
      sha256,
      prefix,
      scopes: [...new Set(body.scopes)],
      limits: patched({}, body.limits ?? {}),
      createdAt: new Date(),
      expiresAt: body.expires_at === undefined ? null : new Date(body.expires_at),
      lastUsedAt: null,
      revokedAt: null,
      rotatedAt: null,
      previousSha256: null,
      previousValidUntil: null,
    });
    await this.database.transaction(async (manager) => {
      await manager.insert(ApiKey, row);
      await AuditLog.record(manager, {
        tenantId: tenant.id,
        action: 'api_key.create',
        subject: { type: 'api_key', id: row.id },
        after: toResource(row, tenant),
      });
    });
    return { ...toResource(row, tenant), key };
  }

  async list(tenantName: string, { limit, after }: PageQuery): Promise<List<ApiKeyResource>> {
    if (after !== undefined && !isId(after)) throw unknownCursor();
    const tenant = await this.tenants.find(tenantName);
    const rows = await this.database.getRepository(ApiKey).find({
      where: { tenantId: tenant.id, ...(after === undefined ? {} : { id: LessThan(after) }) },
      order: { id: 'DESC' },
      take: limit + 1,
    });
    const resources = rows.map((row) => toResource(row, tenant));
    return listPage(resources, limit);
  }

  async patch(tenant: string, keyId: string, body: PatchKey): Promise<ApiKeyResource> {
    return this.#change({ tenant, keyId }, 'api_key.update', (row) => {
      if (body.name !== undefined) row.name = body.name;
      if (body.scopes !== undefined) row.scopes = [...new Set(body.scopes)];
      if (body.limits !== undefined) row.limits = patched(row.limits, body.limits);
      if (body.expires_at !== undefined)
        row.expiresAt = body.expires_at === null ? null : new Date(body.expires_at);
    });
  }

  /** Ends a key now, in every process; revoking twice keeps the first time. */
  async revoke(tenant: string, keyId: string): Promise<ApiKeyResource> {
    return this.#change({ tenant, keyId }, 'api_key.revoke', (row) => {
      row.revokedAt ??= new Date();
    });
  }

  /**
   * Gives a key a new secret; its id, and so its limits and usage, stay. The present secret ends now or after the time
   * of grace, one that a rotation before had left valid ends now.
   */
  async rotate(tenant: string, keyId: string, { grace_seconds }: RotateKey): Promise<CreatedKey> {
    const { key, sha256, prefix } = makeKey('tenant');
    const resource = await this.#change({ tenant, keyId }, 'api_key.rotate', (row) => {
      if (row.revokedAt) throw new AppError('conflict', { message: 'The key is revoked; create another.' });
      const now = new Date();
      const keeps = grace_seconds > 0;
      row.previousSha256 = keeps ? row.sha256 : null;
      row.previousValidUntil = keeps ? new Date(now.getTime() + grace_seconds * 1000) : null;
      row.rotatedAt = now;
      row.sha256 = sha256;
      row.prefix = prefix;
    });
    return { ...resource, key };
  }

  async #change(name: KeyName, action: string, change: (row: ApiKey) => void): Promise<ApiKeyResource> {
    const tenant = await this.tenants.find(name.tenant);
    return this.database.transaction(async (manager) => {
      const where = { id: name.keyId, tenantId: tenant.id };
      const lock = { mode: 'pessimistic_write' } as const;
      const row = isId(name.keyId) ? await manager.findOne(ApiKey, { where, lock }) : null;
      if (!row) throw new AppError('not_found', { message: 'There is no such key.' });
      const before = toResource(row, tenant);
      const secrets = [row.sha256, row.previousSha256];
      change(row);
      await manager.save(ApiKey, row);
      const after = toResource(row, tenant);
      const subject = { type: 'api_key', id: row.id };
      await AuditLog.record(manager, { tenantId: tenant.id, action, subject, before, after });
      for (const sha256 of secrets)
        if (sha256 !== null) await Notifications.publish(manager, KEYS_CHANNEL, sha256);
      return after;
    });
  }
}

function toResource(row: ApiKey, tenant: Tenant): ApiKeyResource {
  return {
    id: row.id,
    object: 'api_key',
    tenant: tenant.name,
    name: row.name,
    prefix: row.prefix,
    scopes: row.scopes,
    limits: rateLimitsResource(row.limits),
    created_at: row.createdAt.toISOString(),
    expires_at: row.expiresAt?.toISOString() ?? null,
    rotated_at: row.rotatedAt?.toISOString() ?? null,
    previous_valid_until: row.previousValidUntil?.toISOString() ?? null,
    last_used_at: row.lastUsedAt?.toISOString() ?? null,
    revoked_at: row.revokedAt?.toISOString() ?? null,
  };
}
