import { Injectable } from '@nestjs/common';
import type { AliasResource, AliasWithHistory, PutAlias, Route } from '#contracts/adapters-api.js';
import type { ArmedGuard, GuardBreach } from '#contracts/alias-trials.js';
import type { List } from '#contracts/resource.js';
import { AppError } from '#runtime/app-error.js';
import { AuditLog } from '#stores/audit/audit-log.service.js';
import { DataSource, type EntityManager } from 'typeorm';
import { Adapter } from '../registry/adapter.entity.js';
import { AdapterChanges } from '../registry/adapter-changes.js';
import { findAdapter, lockAdapter } from '../registry/adapter-rows.js';
import { Alias } from './alias.entity.js';
import { AliasChange } from './alias-change.entity.js';
import { type AliasPrecondition, checkPrecondition } from './alias-precondition.js';
import { type AliasMove, deleteAlias, LATEST, moveAlias } from './alias-routes.js';
import { findAlias, requireReady } from './alias-rows.js';
import type { Figures } from './figures.js';
import { armGuard, breachOf } from './guard-rule.js';
import { aliasResource, aliasWithHistory } from '../registry/resources.js';

const HISTORY_LIMIT = 100;

/** Which adapter's alias. */
export interface AliasAddress {
  readonly tenantId: string;
  readonly adapter: string;
  readonly alias: string;
}

/** Who changes it, and what they expect to find. */
export interface AliasWriter {
  readonly keyId: string;
  readonly expected?: AliasPrecondition | undefined;
}

/** One alias as a change of it meets it, its adapter's row locked. */
interface Held {
  readonly manager: EntityManager;
  readonly adapter: Adapter;
  readonly current: Alias | null;
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

  /** Points the alias at these versions and nothing else. */
  put(address: AliasAddress, routes: Route[], keyId: string): Promise<AliasWithHistory> {
    return this.set(address, { routes }, { keyId });
  }

  /** Points the alias at these versions, all at once; each must be ready. */
  async set(
    address: AliasAddress,
    change: PutAlias,
    { keyId, expected }: AliasWriter,
  ): Promise<AliasWithHistory> {
    return this.#change(address, expected, async ({ manager, adapter, current }) => {
      const { routes, shadow } = change;
      await requireReady(manager, adapter, {
        routes: routes.map(({ version }) => version),
        shadow: shadow ? [shadow.version] : [],
      });
      const guard = armedGuard(change, current);
      const parent = current?.revision ?? null;
      return { name: address.alias, routes, shadow, guard, action: 'set', parent, keyId };
    });
  }

  /** Goes back to where the alias pointed before; again, one step further. Shadow and guard end. */
  async rollback(address: AliasAddress, { keyId, expected }: AliasWriter): Promise<AliasWithHistory> {
    return this.#change(address, expected, async (held) => ({
      ...(await stepBack(held, address.alias)),
      action: 'rollback',
      keyId,
    }));
  }

  /** Goes back when a guarded version has broken a bound and nobody has moved the alias meanwhile. */
  async rollbackOnBreach(
    { tenantId, adapterId, alias, revision }: BrokenAlias,
    figures: ReadonlyMap<number, Figures>,
  ): Promise<GuardBreach | undefined> {
    const { manager } = this.database;
    const where = { tenantId, adapterId, name: alias, revision };
    const guard = (await manager.findOne(Alias, { where }))?.guard;
    const breach = guard ? breachOf(guard, figures) : undefined;
    const adapter = breach && (await manager.findOne(Adapter, { where: { tenantId, id: adapterId } }));
    if (!breach || !adapter) return undefined;
    const address = { tenantId, adapter: adapter.name, alias };
    try {
      await this.#change(address, { kind: 'revision', revision }, async (held) => ({
        ...(await stepBack(held, alias)),
        action: 'guard',
        keyId: null,
        breach,
      }));
      return breach;
    } catch (error) {
      if (error instanceof AppError && GONE.has(error.code)) return undefined;
      throw error;
    }
  }

  /** Takes the alias away; its history goes on when it is set again. */
  async remove({ tenantId, adapter: name, alias }: AliasAddress, { expected }: AliasWriter): Promise<void> {
    if (alias === LATEST) throw automatic();
    await this.changes.commit({ tenant: tenantId, adapter: name }, async (manager) => {
      const adapter = await lockAdapter(manager, tenantId, name);
      const row = await findAlias(manager, adapter, alias);
      checkPrecondition(row, expected);
      await AuditLog.record(manager, {
        ...auditOf('delete', adapter, alias),
        before: aliasResource(name, row),
      });
      await deleteAlias(manager, adapter, row);
    });
  }

  async #change(
    { tenantId, adapter: name, alias }: AliasAddress,
    expected: AliasPrecondition | undefined,
    move: (held: Held) => Promise<AliasMove>,
  ): Promise<AliasWithHistory> {
    if (alias === LATEST) throw automatic();
    return this.changes.commit({ tenant: tenantId, adapter: name }, async (manager) => {
      const adapter = await lockAdapter(manager, tenantId, name);
      const current = await manager.findOne(Alias, {
        where: { tenantId, adapterId: adapter.id, name: alias },
      });
      checkPrecondition(current, expected);
      const made = await move({ manager, adapter, current });
      const row = await moveAlias(manager, adapter, made);
      await AuditLog.record(manager, {
        ...auditOf(made.action, adapter, alias),
        ...(current ? { before: aliasResource(name, current) } : {}),
        after: aliasResource(name, row),
      });
      return withHistory(manager, adapter, row);
    });
  }
}

interface BrokenAlias {
  readonly tenantId: string;
  readonly adapterId: string;
  readonly alias: string;
  readonly revision: number;
}

/** Somebody else was first. */
const GONE: ReadonlySet<string> = new Set(['precondition_failed', 'not_found']);

function auditOf(verb: AliasMove['action'] | 'delete', { tenantId, name }: Adapter, alias: string) {
  const subject = { type: 'adapter.alias', id: `${name}:${alias}` };
  return { tenantId, action: `adapter.alias.${verb}`, subject };
}

function automatic(): AppError {
  return new AppError('conflict', {
    message: `\`${LATEST}\` follows the newest ready version by itself; set another alias such as \`production\`.`,
  });
}

function armedGuard({ routes, guard }: PutAlias, current: Alias | null): ArmedGuard | null {
  if (!guard) return null;
  const armed = current && armGuard({ guard, before: current.routes, after: routes, now_ms: Date.now() });
  if (armed) return armed;
  throw new AppError('invalid_request', {
    message: current
      ? 'guard: no version gets a larger share by this change, so there is nothing to watch.'
      : 'guard: the alias points nowhere yet, so there is nothing to go back to.',
    param: 'guard',
  });
}

/** Where the alias pointed before its newest change. */
async function stepBack({ manager, adapter, current }: Held, name: string) {
  const { id: adapterId, tenantId } = adapter;
  const where = { tenantId, adapterId, alias: name };
  const { revision } = current ?? (await findAlias(manager, adapter, name));
  const now = await manager.findOneByOrFail(AliasChange, { ...where, revision });
  if (now.parent === null) {
    throw new AppError('conflict', { message: 'The alias has pointed nowhere else before.' });
  }
  const { routes, parent } = await manager.findOneByOrFail(AliasChange, { ...where, revision: now.parent });
  await requireReady(manager, adapter, { routes: routes.map(({ version }) => version) });
  return { name, routes, parent };
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
