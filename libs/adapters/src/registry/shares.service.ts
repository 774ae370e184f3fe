import { Injectable } from '@nestjs/common';
import type { List, PageQuery } from '#contracts/resource.js';
import { EVERYONE, type ShareResource } from '#contracts/shares-api.js';
import { AppError } from '#runtime/app-error.js';
import { AuditLog } from '#stores/audit/audit-log.service.js';
import { DataSource, type EntityManager } from 'typeorm';
import type { Adapter } from './adapter.entity.js';
import { AdapterChanges } from './adapter-changes.js';
import { findAdapter, lockAdapter } from './adapter-rows.js';
import { AdapterShare } from './adapter-share.entity.js';
import { findTenantNamed } from './tenant-names.js';

/** The tenant that owns the adapter, as its caller is known. */
export interface Owner {
  readonly id: string;
  readonly name: string;
}

/** One grant: an adapter of `owner` to the tenant of that name, or to EVERYONE. */
export interface ShareAddress {
  readonly owner: Owner;
  readonly adapter: string;
  readonly tenant: string;
}

interface ShareRow {
  readonly tenant: string;
  readonly keyId: string;
  readonly createdAt: Date;
}

/** Who else may call an adapter. A share opens all its versions and aliases, for calls only. */
@Injectable()
export class SharesService {
  constructor(
    private readonly database: DataSource,
    private readonly changes: AdapterChanges,
  ) {}

  /** By the grantees' names; EVERYONE comes first. */
  async list(owner: Owner, adapterName: string, { limit, after }: PageQuery): Promise<List<ShareResource>> {
    const adapter = await findAdapter(this.database.manager, owner.id, adapterName);
    const rows = await readShares(this.database.manager, adapter, { after, limit: limit + 1 });
    const data = rows.slice(0, limit).map((row) => resource(owner, adapterName, row));
    return { object: 'list', data, has_more: rows.length > limit, last_id: data.at(-1)?.tenant ?? null };
  }

  async get({ owner, adapter: adapterName, tenant }: ShareAddress): Promise<ShareResource> {
    const adapter = await findAdapter(this.database.manager, owner.id, adapterName);
    return resource(owner, adapterName, await readShare(this.database.manager, adapter, tenant));
  }

  /** Shared again, a share stays as it was. */
  async put({ owner, adapter: adapterName, tenant }: ShareAddress, keyId: string): Promise<ShareResource> {
    return this.changes.commit({ tenant: owner.id, adapter: adapterName }, async (manager) => {
      const adapter = await lockAdapter(manager, owner.id, adapterName);
      const grantee = await granteeOf(manager, owner, tenant);
      const { id: adapterId, tenantId } = adapter;
      const values = { adapterId, tenantId, grantee, keyId };
      const added = await insertUnlessThere(manager, values);
      const share = resource(owner, adapterName, await readShare(manager, adapter, tenant));
      if (added) await AuditLog.record(manager, { ...auditOf('create', share, owner), after: share });
      return share;
    });
  }

  async remove({ owner, adapter: adapterName, tenant }: ShareAddress): Promise<void> {
    await this.changes.commit({ tenant: owner.id, adapter: adapterName }, async (manager) => {
      const adapter = await lockAdapter(manager, owner.id, adapterName);
      const share = resource(owner, adapterName, await readShare(manager, adapter, tenant));
      const grantee = await granteeOf(manager, owner, tenant);
      await manager.delete(AdapterShare, { adapterId: adapter.id, tenantId: owner.id, grantee });
      await AuditLog.record(manager, { ...auditOf('delete', share, owner), before: share });
    });
  }
}

function auditOf(verb: 'create' | 'delete', { adapter, tenant }: ShareResource, owner: Owner) {
  const subject = { type: 'adapter.share', id: `${adapter}/${tenant}` };
  return { tenantId: owner.id, action: `adapter.share.${verb}`, subject };
}

/** False: it was there. */
async function insertUnlessThere(
  manager: EntityManager,
  values: Omit<AdapterShare, 'adapter' | 'createdAt'>,
): Promise<boolean> {
  if (await manager.existsBy(AdapterShare, { adapterId: values.adapterId, grantee: values.grantee }))
    return false;
  await manager.insert(AdapterShare, values); // the adapter's row is locked
  return true;
}

async function granteeOf(manager: EntityManager, owner: Owner, tenant: string): Promise<string> {
  if (tenant === EVERYONE) return EVERYONE;
  const found = await findTenantNamed(manager, tenant);
  if (!found) throw new AppError('not_found', { message: `There is no tenant ${tenant}.`, param: 'tenant' });
  if (found.id === owner.id)
    throw new AppError('invalid_request', { message: 'The adapter is yours already.', param: 'tenant' });
  return found.id;
}

async function readShare(manager: EntityManager, adapter: Adapter, tenant: string): Promise<ShareRow> {
  const [row] = await readShares(manager, adapter, { tenant, limit: 1 });
  if (!row) throw new AppError('not_found', { message: 'There is no such share.' });
  return row;
}

interface SharePage {
  readonly limit: number;
  readonly tenant?: string;
  readonly after?: string | undefined;
}

async function readShares(manager: EntityManager, adapter: Adapter, page: SharePage): Promise<ShareRow[]> {
  const sql = `
    SELECT coalesce(tenants.name, $3) AS tenant, share.key_id AS "keyId", share.created_at AS "createdAt"
    FROM adapter_shares share
    LEFT JOIN tenants ON tenants.id = CASE WHEN share.grantee <> $3 THEN share.grantee::uuid END
    WHERE share.tenant_id = $1 AND share.adapter_id = $2 AND (tenants.id IS NOT NULL OR share.grantee = $3)
      AND ($4::text IS NULL OR coalesce(tenants.name, $3) = $4)
      AND ($5::text IS NULL OR coalesce(tenants.name, $3) COLLATE "C" > $5)
    ORDER BY coalesce(tenants.name, $3) COLLATE "C"
    LIMIT $6`;
  const values = [
    adapter.tenantId,
    adapter.id,
    EVERYONE,
    page.tenant ?? null,
    page.after ?? null,
    page.limit,
  ];
  return (await manager.query(sql, values)) as ShareRow[];
}

function resource(owner: Owner, adapter: string, { tenant, keyId, createdAt }: ShareRow): ShareResource {
  return {
    object: 'adapter.share',
    adapter,
    tenant,
    model: `${owner.name}/${adapter}`,
    key_id: keyId,
    created_at: createdAt.toISOString(),
  };
}
