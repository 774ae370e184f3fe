import { Injectable } from '@nestjs/common';
import type { PatchTenant, TenantResource } from '#contracts/admin-api.js';
import { type List, listPage, type PageQuery } from '#contracts/resource.js';
import { AppError } from '#runtime/app-error.js';
import { AuditLog } from '#stores/audit/audit-log.service.js';
import { isId, newId } from '#stores/ids.js';
import { isUniqueViolation } from '#stores/postgres/database-error.js';
import { Notifications } from '#stores/postgres/notifications.js';
import { DataSource, LessThan } from 'typeorm';
import { KEYS_CHANNEL } from './key-directory.service.js';
import { Tenant } from './tenant.entity.js';

@Injectable()
export class TenantsService {
  constructor(private readonly database: DataSource) {}

  async create(name: string): Promise<TenantResource> {
    const tenants = this.database.getRepository(Tenant);
    const tenant = tenants.create({ id: newId(), name, state: 'active', createdAt: new Date() });
    try {
      await this.database.transaction(async (manager) => {
        await manager.insert(Tenant, tenant);
        await AuditLog.record(manager, {
          tenantId: tenant.id,
          action: 'tenant.create',
          subject: { type: 'tenant', id: tenant.id },
          after: toResource(tenant),
        });
      });
    } catch (error) {
      if (!isUniqueViolation(error, 'tenants_name_key')) throw error;
      throw new AppError('already_exists', { message: `There is a tenant ${name} already.`, param: 'name' });
    }
    return toResource(tenant);
  }

  async list({ limit, after }: PageQuery): Promise<List<TenantResource>> {
    if (after !== undefined && !isId(after)) throw unknownCursor();
    const rows = await this.database.getRepository(Tenant).find({
      where: after === undefined ? {} : { id: LessThan(after) },
      order: { id: 'DESC' },
      take: limit + 1,
    });
    return listPage(rows.map(toResource), limit);
  }

  /** By name or id. */
  async get(nameOrId: string): Promise<TenantResource> {
    return toResource(await this.find(nameOrId));
  }

  async patch(nameOrId: string, { state }: PatchTenant): Promise<TenantResource> {
    const tenant = await this.find(nameOrId);
    if (state === undefined) return toResource(tenant);
    await this.database.transaction(async (manager) => {
      await manager.update(Tenant, { id: tenant.id }, { state });
      await AuditLog.record(manager, {
        tenantId: tenant.id,
        action: 'tenant.update',
        subject: { type: 'tenant', id: tenant.id },
        before: toResource(tenant),
        after: toResource({ ...tenant, state }),
      });
      await Notifications.publish(manager, KEYS_CHANNEL, '');
    });
    return toResource({ ...tenant, state });
  }

  async find(nameOrId: string): Promise<Tenant> {
    const where = isId(nameOrId) ? [{ name: nameOrId }, { id: nameOrId }] : { name: nameOrId };
    const tenant = await this.database.getRepository(Tenant).findOne({ where });
    if (!tenant) throw new AppError('not_found', { message: 'There is no such tenant.' });
    return tenant;
  }
}

export function unknownCursor(): AppError {
  return new AppError('invalid_request', { message: '`after` is no id of this list.', param: 'after' });
}

function toResource(tenant: Tenant): TenantResource {
  const { id, name, state, createdAt } = tenant;
  return { id, object: 'tenant', name, state, created_at: createdAt.toISOString() };
}
