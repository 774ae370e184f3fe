import { Injectable } from '@nestjs/common';
import type { AliasResource, AliasWithHistory, Route } from '#contracts/adapters-api.js';
import type { List } from '#contracts/resource.js';
import { AppError } from '#runtime/app-error.js';
import { AuditLog } from '#stores/audit/audit-log.service.js';
import { DataSource, type EntityManager, In } from 'typeorm';
import type { Adapter } from './adapter.entity.js';
import { AdapterChanges } from './adapter-changes.js';
import { findAdapter, lockAdapter } from './adapter-rows.js';
import { AdapterVersion } from './adapter-version.entity.js';
import { Alias } from './alias.entity.js';
import { AliasChange } from './alias-change.entity.js';
import { LATEST, moveAlias } from './alias-routes.js';
import { aliasResource, aliasWithHistory } from './resources.js';

const HISTORY_LIMIT = 100;

/** Which adapter's alias, and by whose key it is changed. */
export interface AliasAddress {
  readonly tenantId: string;
  readonly adapter: string;
  readonly alias: string;
}

@Injectable()
export class AliasesService {
  constructor(
    private readonly database: DataSource,
    private readonly changes: AdapterChanges,
  ) {}

  async list(tenantId: string, adapterName: string): Promise<List<AliasResource>> {
    const { manager } = this.database;
    const adapter = await findAdapter(manager, tenantId, adapterName);
    const rows = await manager.find(Alias, {
      where: { tenantId, adapterId: adapter.id },
      order: { name: 'ASC' },
    });
    const data = rows.map((row) => aliasResource(adapterName, row));
    return { object: 'list', data, has_more: false, last_id: data.at(-1)?.name ?? null };
  }

  async get({ tenantId, adapter: name, alias }: AliasAddress): Promise<AliasWithHistory> {
    const { manager } = this.database;
    const adapter = await findAdapter(manager, tenantId, name);
    return withHistory(manager, adapter, await findAlias(manager, adapter, alias));
  }

  /** Points the alias at these versions, all at once; each must be ready. */
  async put(
    { tenantId, adapter: name, alias }: AliasAddress,
    routes: Route[],
    keyId: string,
  ): Promise<AliasWithHistory> {
    if (alias === LATEST) throw automatic();
    return this.changes.commit({ tenant: tenantId, adapter: name }, async (manager) => {
      const adapter = await lockAdapter(manager, tenantId, name);
      await requireReady(manager, adapter, routes);
      const current = await manager.findOne(Alias, {
        where: { tenantId, adapterId: adapter.id, name: alias },
      });
      const parent = current?.revision ?? null;
      const row = await moveAlias(manager, adapter, { name: alias, routes, action: 'set', parent, keyId });
      await AuditLog.record(manager, {
        ...auditOf('set', adapter, alias),
        ...(current ? { before: aliasResource(name, current) } : {}),
        after: aliasResource(name, row),
      });
      return withHistory(manager, adapter, row);
    });
  }

  /** Goes back to where the alias pointed before; again, one step further. */
  async rollback({ tenantId, adapter: name, alias }: AliasAddress, keyId: string): Promise<AliasWithHistory> {
    if (alias === LATEST) throw automatic();
    return this.changes.commit({ tenant: tenantId, adapter: name }, async (manager) => {
      const adapter = await lockAdapter(manager, tenantId, name);
      const current = await findAlias(manager, adapter, alias);
      const where = { tenantId, adapterId: adapter.id, alias };
      const now = await manager.findOneByOrFail(AliasChange, { ...where, revision: current.revision });
      if (now.parent === null) {
        throw new AppError('conflict', { message: 'The alias has pointed nowhere else before.' });
      }
      const { routes, parent } = await manager.findOneByOrFail(AliasChange, {
        ...where,
        revision: now.parent,
      });
      await requireReady(manager, adapter, routes);
      const row = await moveAlias(manager, adapter, {
        name: alias,
        routes,
        action: 'rollback',
        parent,
        keyId,
      });
      await AuditLog.record(manager, {
        ...auditOf('rollback', adapter, alias),
        before: aliasResource(name, current),
        after: aliasResource(name, row),
      });
      return withHistory(manager, adapter, row);
    });
  }

  /** Takes the alias away; its history goes on when it is set again. */
  async remove({ tenantId, adapter: name, alias }: AliasAddress): Promise<void> {
    if (alias === LATEST) throw automatic();
    await this.changes.commit({ tenant: tenantId, adapter: name }, async (manager) => {
      const adapter = await lockAdapter(manager, tenantId, name);
      const row = await findAlias(manager, adapter, alias);
      await AuditLog.record(manager, {
        ...auditOf('delete', adapter, alias),
        before: aliasResource(name, row),
      });
      await manager.delete(Alias, { tenantId, adapterId: adapter.id, name: alias });
    });
  }
}

function auditOf(verb: 'set' | 'rollback' | 'delete', { tenantId, name }: Adapter, alias: string) {
  const subject = { type: 'adapter.alias', id: `${name}:${alias}` };
  return { tenantId, action: `adapter.alias.${verb}`, subject };
}

function automatic(): AppError {
  return new AppError('conflict', {
    message: `\`${LATEST}\` follows the newest ready version by itself; set another alias such as \`production\`.`,
  });
}

async function findAlias(manager: EntityManager, adapter: Adapter, name: string): Promise<Alias> {
  const alias = await manager.findOne(Alias, {
    where: { tenantId: adapter.tenantId, adapterId: adapter.id, name },
  });
  if (!alias) throw new AppError('not_found', { message: 'There is no such alias.' });
  return alias;
}

async function requireReady(
  manager: EntityManager,
  adapter: Adapter,
  routes: readonly Route[],
): Promise<void> {
  const { id: adapterId, tenantId } = adapter;
  const numbers = routes.map(({ version }) => version);
  const rows = await manager.find(AdapterVersion, {
    select: { number: true, state: true },
    where: { adapterId, tenantId, number: In(numbers) },
  });
  for (const number of numbers) {
    const row = rows.find((candidate) => candidate.number === number);
    if (!row) throw new AppError('not_found', { message: `There is no version ${number}.`, param: 'routes' });
    if (row.state !== 'ready') {
      throw new AppError('version_not_ready', {
        message: `Version ${number} is ${row.state}.`,
        param: 'routes',
      });
    }
  }
}

async function withHistory(
  manager: EntityManager,
  adapter: Adapter,
  alias: Alias,
): Promise<AliasWithHistory> {
  const changes = await manager.find(AliasChange, {
    where: { tenantId: adapter.tenantId, adapterId: adapter.id, alias: alias.name },
    order: { revision: 'DESC' },
    take: HISTORY_LIMIT,
  });
  return aliasWithHistory(adapter.name, alias, changes);
}
