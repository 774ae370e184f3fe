import { Injectable } from '@nestjs/common';
import type { ApiKeyResource, CreatedKey, CreateKey, PatchKey } from '#contracts/admin-api.js';
import { type List, listPage, type PageQuery } from '#contracts/resource.js';
import { AppError } from '#runtime/app-error.js';
import { AuditLog, type NewAuditEntry } from '#stores/audit/audit-log.service.js';
import { isId, newId } from '#stores/ids.js';
import { Notifications } from '#stores/postgres/notifications.js';
import { DataSource, LessThan } from 'typeorm';
import { makeKey } from './api-key.js';
import { ApiKey } from './api-key.entity.js';
import { KEYS_CHANNEL } from './key-directory.service.js';
import type { Tenant } from './tenant.entity.js';
import { TenantsService, unknownCursor } from './tenants.service.js';

@Injectable()
export class KeysService {
  constructor(
    private readonly database: DataSource,
    private readonly tenants: TenantsService,
  ) {}

  async create(tenantName: string, body: CreateKey): Promise<CreatedKey> {
    const tenant = await this.tenants.find(tenantName);
    const { key, sha256, prefix } = makeKey();
    const keys = this.database.getRepository(ApiKey);
    const row = keys.create({
      id: newId(),
      tenantId: tenant.id,
      name: body.name,
      sha256,
      prefix,
      scopes: [...new Set(body.scopes)],
      createdAt: new Date(),
      expiresAt: body.expires_at === undefined ? null : new Date(body.expires_at),
      lastUsedAt: null,
      revokedAt: null,
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

  async patch(tenantName: string, keyId: string, body: PatchKey): Promise<ApiKeyResource> {
    const { row, tenant } = await this.#find(tenantName, keyId);
    const before = toResource(row, tenant);
    if (body.name !== undefined) row.name = body.name;
    if (body.scopes !== undefined) row.scopes = [...new Set(body.scopes)];
    if (body.expires_at !== undefined)
      row.expiresAt = body.expires_at === null ? null : new Date(body.expires_at);
    await this.#save(row, 'api_key.update', { before, after: toResource(row, tenant) });
    return toResource(row, tenant);
  }

  /** Ends a key now, in every process; revoking twice keeps the first time. */
  async revoke(tenantName: string, keyId: string): Promise<ApiKeyResource> {
    const { row, tenant } = await this.#find(tenantName, keyId);
    const before = toResource(row, tenant);
    row.revokedAt ??= new Date();
    await this.#save(row, 'api_key.revoke', { before, after: toResource(row, tenant) });
    return toResource(row, tenant);
  }

  async #find(tenantName: string, keyId: string): Promise<{ row: ApiKey; tenant: Tenant }> {
    const tenant = await this.tenants.find(tenantName);
    const where = { id: keyId, tenantId: tenant.id };
    const row = isId(keyId) ? await this.database.getRepository(ApiKey).findOne({ where }) : null;
    if (!row) throw new AppError('not_found', { message: 'There is no such key.' });
    return { row, tenant };
  }

  async #save(row: ApiKey, action: string, states: Pick<NewAuditEntry, 'before' | 'after'>): Promise<void> {
    const { id, tenantId, sha256, name, scopes, expiresAt, revokedAt } = row;
    await this.database.transaction(async (manager) => {
      await AuditLog.record(manager, { tenantId, action, subject: { type: 'api_key', id }, ...states });
      await manager.update(ApiKey, { id, tenantId }, { name, scopes, expiresAt, revokedAt });
      await Notifications.publish(manager, KEYS_CHANNEL, sha256);
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
    created_at: row.createdAt.toISOString(),
    expires_at: row.expiresAt?.toISOString() ?? null,
    last_used_at: row.lastUsedAt?.toISOString() ?? null,
    revoked_at: row.revokedAt?.toISOString() ?? null,
  };
}
