import { Injectable } from '@nestjs/common';
import type { AdapterQuery, AdapterResource, CreateAdapter, PatchAdapter } from '#contracts/adapters-api.js';
import { type List, listPage } from '#contracts/resource.js';
import { AppError } from '#runtime/app-error.js';
import { AuditLog } from '#stores/audit/audit-log.service.js';
import { isId, newId } from '#stores/ids.js';
import { isUniqueViolation } from '#stores/postgres/database-error.js';
import { DataSource, type EntityManager, In, Not } from 'typeorm';
import { Adapter } from './adapter.entity.js';
import { AdapterChanges } from './adapter-changes.js';
import { findAdapter, lockAdapter } from './adapter-rows.js';
import { Alias } from '../aliases/alias.entity.js';
import { AliasProtection } from '../aliases/alias-protection.entity.js';
import { LATEST } from '../aliases/alias-routes.js';
import { BlobLedger } from '../blobs/blob-ledger.service.js';
import { newestVersions, whereAdapter } from './adapter-list.js';
import { digestsOf, type Removal } from '../blobs/removal.js';
import { adapterResource } from './resources.js';
import { checkAdapterQuota } from './tenant-quotas.js';

@Injectable()
export class AdaptersService {
  constructor(
    private readonly database: DataSource,
    private readonly changes: AdapterChanges,
    private readonly ledger: BlobLedger,
  ) {}

  async create(tenantId: string, body: CreateAdapter): Promise<AdapterResource> {
    const adapter = newAdapter(tenantId, body);
    try {
      await this.database.transaction(async (manager) => {
        await checkAdapterQuota(manager, tenantId);
        await manager.insert(Adapter, adapter);
        await auditCreation(manager, adapter);
      });
    } catch (error) {
      if (!isUniqueViolation(error, 'adapters_tenant_id_name_key')) throw error;
      throw new AppError('already_exists', {
        message: `There is an adapter ${body.name} already.`,
        param: 'name',
      });
    }
    return adapterResource(adapter);
  }

  async list(tenantId: string, { limit, after, ...filter }: AdapterQuery): Promise<List<AdapterResource>> {
    const query = this.database
      .getRepository(Adapter)
      .createQueryBuilder('adapter')
      .where('adapter.tenant_id = :tenantId', { tenantId })
      .orderBy('adapter.id', 'DESC')
      .take(limit + 1);
    if (after !== undefined) {
      if (!isId(after))
        throw new AppError('invalid_request', { message: '`after` is no id of this list.', param: 'after' });
      query.andWhere('adapter.id < :after', { after });
    }
    whereAdapter(query, filter);
    const rows = await query.getMany();
    const newest = await newestVersions(this.database.manager, rows);
    return listPage(
      rows.map((row) => adapterResource(row, newest.get(row.id))),
      limit,
    );
  }

  async get(tenantId: string, name: string): Promise<AdapterResource> {
    const { manager } = this.database;
    return shown(manager, await findAdapter(manager, tenantId, name));
  }

  /** The ids of a tenant's adapters by their names. */
  async idsOf(tenantId: string, names: readonly string[]): Promise<ReadonlyMap<string, string>> {
    const where = { tenantId, name: In([...new Set(names)]) };
    const rows = await this.database.manager.find(Adapter, { select: { id: true, name: true }, where });
    return new Map(rows.map(({ id, name }) => [name, id]));
  }

  async patch(tenantId: string, name: string, body: PatchAdapter): Promise<AdapterResource> {
    return this.database.transaction(async (manager) => {
      const adapter = await lockAdapter(manager, tenantId, name);
      const before = adapterResource(adapter);
      if (body.description !== undefined) adapter.description = body.description;
      if (body.labels !== undefined) adapter.labels = body.labels;
      adapter.updatedAt = new Date();
      const { description, labels, updatedAt } = adapter;
      await manager.update(Adapter, { id: adapter.id, tenantId }, { description, labels, updatedAt });
      await AuditLog.record(manager, {
        tenantId,
        action: 'adapter.update',
        subject: { type: 'adapter', id: adapter.id },
        before,
        after: adapterResource(adapter),
      });
      return shown(manager, adapter);
    });
  }

  /** Refused while an alias other than the automatic one serves it, unless forced. */
  async remove(tenantId: string, name: string, options: { force: boolean }): Promise<Removal> {
    const { id, digests } = await this.changes.commit(
      { tenant: tenantId, adapter: name },
      async (manager) => {
        const adapter = await lockAdapter(manager, tenantId, name);
        if (!options.force) await refuseWhileServed(manager, adapter);
        await refuseWhileProtected(manager, adapter);
        const released = { tenantId, adapterId: adapter.id };
        const digests = await digestsOf(manager, released);
        await this.ledger.release(manager, released);
        await manager.delete(Adapter, { id: adapter.id, tenantId });
        await AuditLog.record(manager, {
          tenantId,
          action: 'adapter.delete',
          subject: { type: 'adapter', id: adapter.id },
          before: adapterResource(adapter),
        });
        return { id: adapter.id, digests };
      },
    );
    return { id, digests: await this.ledger.unheld(digests) };
  }
}

async function shown(manager: EntityManager, adapter: Adapter): Promise<AdapterResource> {
  return adapterResource(adapter, (await newestVersions(manager, [adapter])).get(adapter.id));
}

export async function createUnlessThere(
  manager: EntityManager,
  tenantId: string,
  name: string,
): Promise<void> {
  if (await manager.existsBy(Adapter, { tenantId, name })) return;
  await checkAdapterQuota(manager, tenantId);
  const adapter = newAdapter(tenantId, { name });
  const insert = manager.createQueryBuilder().insert().into(Adapter).values(adapter).orIgnore();
  const { raw } = (await insert.returning('id').execute()) as { raw: readonly unknown[] };
  if (raw.length > 0) await auditCreation(manager, adapter); // else somebody else was faster
}

async function auditCreation(manager: EntityManager, adapter: Adapter): Promise<void> {
  await AuditLog.record(manager, {
    tenantId: adapter.tenantId,
    action: 'adapter.create',
    subject: { type: 'adapter', id: adapter.id },
    after: adapterResource(adapter),
  });
}

function newAdapter(tenantId: string, body: CreateAdapter): Adapter {
  const now = new Date();
  return Object.assign(new Adapter(), {
    id: newId(),
    tenantId,
    name: body.name,
    description: body.description ?? null,
    baseModel: body.base_model ?? null,
    labels: body.labels ?? {},
    nextVersion: 1,
    createdAt: now,
    updatedAt: now,
  });
}

async function refuseWhileServed(manager: EntityManager, adapter: Adapter): Promise<void> {
  const { id: adapterId, tenantId } = adapter;
  const aliases = await manager.find(Alias, {
    where: { adapterId, tenantId, name: Not(LATEST) },
    order: { name: 'ASC' },
  });
  if (aliases.length === 0) return;
  const names = aliases.map(({ name }) => name).join(', ');
  throw new AppError('conflict', {
    message: `The adapter is served by its aliases (${names}); delete them first, or use ?force=true.`,
  });
}

/** Even by force: one key must not do to the whole adapter what it may not do to an alias. */
async function refuseWhileProtected(
  manager: EntityManager,
  { id: adapterId, tenantId }: Adapter,
): Promise<void> {
  const rows = await manager.find(AliasProtection, { where: { adapterId, tenantId } });
  if (rows.length === 0) return;
  const names = rows.map(({ alias }) => alias).join(', ');
  throw new AppError('conflict', {
    message: `The adapter has protected aliases (${names}); end their protection first.`,
  });
}
