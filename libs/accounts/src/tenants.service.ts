import { Injectable } from '@nestjs/common';
import type { CreateTenant, PatchTenant, TenantResource } from '#contracts/admin-api.js';
import { type List, listPage, type PageQuery } from '#contracts/resource.js';
import { AppError } from '#runtime/app-error.js';
import { AuditLog } from '#stores/audit/audit-log.service.js';
import { isId, newId } from '#stores/ids.js';
import { isUniqueViolation } from '#stores/postgres/database-error.js';
import { Notifications } from '#stores/postgres/notifications.js';
import { DataSource, LessThan } from 'typeorm';
import { KEYS_CHANNEL } from './keys-channel.js';
import { patched, quotasResource } from './limits/rate-limits.js';
import { Tenant } from './tenant.entity.js';

@Injectable()
export class TenantsService {
  constructor(private readonly database: DataSource) {}

  async create({
    name,
    quotas = {},
    weight = 1,
    require_base_match = false,
  }: CreateTenant): Promise<TenantResource> {
    const tenants = this.database.getRepository(Tenant);
    const tenant = tenants.create({
      id: newId(),
      name,
      state: 'active',
      quotas: patched({}, quotas),
      weight,
      requireBaseMatch: require_base_match,
      createdAt: new Date(),
    });
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

  async patch(nameOrId: string, patch: PatchTenant): Promise<TenantResource> {
    const { id } = await this.find(nameOrId);
    return this.database.transaction(async (manager) => {
      const tenant = await manager.findOneOrFail(Tenant, {
        where: { id },
        lock: { mode: 'pessimistic_write' },
      });
      const before = toResource(tenant);
      tenant.state = patch.state ?? tenant.state;
      tenant.weight = patch.weight ?? tenant.weight;
      tenant.quotas = patched(tenant.quotas, patch.quotas ?? {});
      tenant.requireBaseMatch = patch.require_base_match ?? tenant.requireBaseMatch;
      const { state, weight, quotas, requireBaseMatch } = tenant;
      await manager.update(Tenant, { id }, { state, weight, quotas, requireBaseMatch });
      const after = toResource(tenant);
      const subject = { type: 'tenant', id };
      await AuditLog.record(manager, { tenantId: id, action: 'tenant.update', subject, before, after });
      await Notifications.publish(manager, KEYS_CHANNEL, '');
      return after;
    });
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
  const { id, name, state, weight, requireBaseMatch, createdAt } = tenant;
  return {
    id,
    object: 'tenant',
    name,
    state,
    quotas: quotasResource(tenant.quotas),
    weight,
    require_base_match: requireBaseMatch,
    created_at: createdAt.toISOString(),
  };
}
