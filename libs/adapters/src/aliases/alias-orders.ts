import type { AliasWithHistory, PutAlias, Route } from '#contracts/adapters-api.js';
import type { ArmedGuard, GuardBreach } from '#contracts/alias-trials.js';
import { AppError } from '#runtime/app-error.js';
import { AuditLog } from '#stores/audit/audit-log.service.js';
import type { EntityManager } from 'typeorm';
import type { Adapter } from '../registry/adapter.entity.js';
import { aliasResource, aliasWithHistory } from '../registry/resources.js';
import type { Alias } from './alias.entity.js';
import { AliasChange } from './alias-change.entity.js';
import { AliasProtection } from './alias-protection.entity.js';
import { type AliasMove, deleteAlias, moveAlias } from './alias-routes.js';
import { findAlias, requireReady } from './alias-rows.js';
import { armGuard } from './guard-rule.js';

const HISTORY_LIMIT = 100;

/** What shall become of an alias. */
export type AliasOrder =
  | { readonly kind: 'set'; readonly change: PutAlias }
  | { readonly kind: 'rollback' }
  | { readonly kind: 'guard'; readonly breach: GuardBreach }
  | { readonly kind: 'delete' }
  | { readonly kind: 'unprotect' };

/** One alias as a change of it meets it, its adapter's row locked. */
export interface HeldAlias {
  readonly manager: EntityManager;
  readonly adapter: Adapter;
  readonly alias: string;
  readonly current: Alias | null;
}

/** Who answers for a change. */
export interface OrderedBy {
  readonly keyId: string | null;
  /** The second key, of a protected alias. */
  readonly approvedBy?: string;
  /** Why a protected alias went back without one. */
  readonly emergency?: string | undefined;
}

/** Where the alias would point, and from which revision on; throws what speaks against the order. */
export async function planOf(
  held: HeldAlias,
  order: AliasOrder,
): Promise<Omit<AliasMove, 'keyId'> | undefined> {
  const { manager, adapter, alias, current } = held;
  switch (order.kind) {
    case 'set': {
      const { routes, shadow } = order.change;
      await requireReady(manager, adapter, {
        routes: routes.map(({ version }) => version),
        shadow: shadow ? [shadow.version] : [],
      });
      const guard = armedGuard(order.change, current);
      const parent = current?.revision ?? null;
      return { name: alias, routes, shadow, guard, action: 'set', parent };
    }
    case 'rollback':
      return { ...(await stepBack(held)), action: 'rollback' };
    case 'guard':
      return { ...(await stepBack(held)), action: 'guard', breach: order.breach };
    case 'delete':
      await findAlias(manager, adapter, alias);
      return undefined;
    case 'unprotect':
      return undefined;
  }
}

/** Does it, with its history, events and audit entry. Null: the alias is not there afterwards. */
export async function carryOut(held: HeldAlias, order: AliasOrder, by: OrderedBy): Promise<Alias | null> {
  const { manager, adapter, alias, current } = held;
  const move = await planOf(held, order);
  const { approvedBy, emergency } = by;
  const circumstances = {
    ...(approvedBy === undefined ? {} : { requested_by: by.keyId, approved_by: approvedBy }),
    ...(emergency === undefined ? {} : { emergency }),
  };
  const before = current ? { before: aliasResource(adapter.name, current) } : {};
  if (order.kind === 'unprotect') {
    await manager.delete(AliasProtection, { adapterId: adapter.id, tenantId: adapter.tenantId, alias });
    await AuditLog.record(manager, {
      ...auditOf('unprotect', adapter, alias),
      before: { protected: true },
      after: { protected: false, ...circumstances },
    });
    return current;
  }
  if (!move) {
    await AuditLog.record(manager, {
      ...auditOf('delete', adapter, alias),
      ...before,
      ...(approvedBy === undefined ? {} : { after: circumstances }),
    });
    await deleteAlias(manager, adapter, current ?? (await findAlias(manager, adapter, alias)));
    return null;
  }
  const row = await moveAlias(manager, adapter, { ...move, keyId: by.keyId, approvedBy });
  await AuditLog.record(manager, {
    ...auditOf(move.action, adapter, alias),
    ...before,
    after: { ...aliasResource(adapter.name, row), ...circumstances },
  });
  return row;
}

export function auditOf(verb: string, { tenantId, name }: Adapter, alias: string) {
  const subject = { type: 'adapter.alias', id: `${name}:${alias}` };
  return { tenantId, action: `adapter.alias.${verb}`, subject };
}

export async function isProtected(manager: EntityManager, adapter: Adapter, alias: string): Promise<boolean> {
  return manager.existsBy(AliasProtection, { adapterId: adapter.id, tenantId: adapter.tenantId, alias });
}

export async function withHistory(
  manager: EntityManager,
  adapter: Adapter,
  alias: Alias,
): Promise<AliasWithHistory> {
  const changes = await manager.find(AliasChange, {
    where: { tenantId: adapter.tenantId, adapterId: adapter.id, alias: alias.name },
    order: { revision: 'DESC' },
    take: HISTORY_LIMIT,
  });
  const guarded = await isProtected(manager, adapter, alias.name);
  return aliasWithHistory(adapter.name, alias, changes, guarded);
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
async function stepBack({
  manager,
  adapter,
  current,
  alias: name,
}: HeldAlias): Promise<{ name: string; routes: Route[]; parent: number | null }> {
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
