import type { Route } from '#contracts/adapters-api.js';
import type { ArmedGuard, GuardBreach, Shadow } from '#contracts/alias-trials.js';
import { addEvent } from '#stores/outbox/outbox.service.js';
import { type EntityManager, LessThan } from 'typeorm';
import type { Adapter } from '../registry/adapter.entity.js';
import { AdapterVersion } from '../registry/adapter-version.entity.js';
import { Alias } from './alias.entity.js';
import { AliasChange } from './alias-change.entity.js';
import { AliasFiguresRow } from './alias-figures.entity.js';
import { reasonOf } from './guard-rule.js';
import { aliasChange, aliasResource } from '../registry/resources.js';

/** Follows the newest ready version by itself. */
export const LATEST = 'latest';
/** What a name without version or alias means, where it is set. */
export const PRODUCTION = 'production';

/** Figures of shadows are kept for as many changes as the history shows. */
const KEPT_REVISIONS = 100;

export interface AliasMove {
  readonly name: string;
  readonly routes: Route[];
  readonly shadow?: Shadow | null | undefined;
  readonly guard?: ArmedGuard | null | undefined;
  readonly action: AliasChange['action'];
  /** The revision to which a rollback returns from here. */
  readonly parent: number | null;
  readonly keyId: string | null;
  /** The second key, of a protected alias. */
  readonly approvedBy?: string | undefined;
  readonly breach?: GuardBreach;
}

/** Points an alias elsewhere, writes its history and tells of it. The adapter's row must be locked. */
export async function moveAlias(manager: EntityManager, adapter: Adapter, move: AliasMove): Promise<Alias> {
  const { id: adapterId, tenantId } = adapter;
  const { name, routes, action, parent, keyId, shadow = null, guard = null, breach, approvedBy } = move;
  const last = await manager.maximum(AliasChange, 'revision', { adapterId, tenantId, alias: name });
  const revision = (last ?? 0) + 1;
  const now = new Date();
  const change = Object.assign(new AliasChange(), {
    adapterId,
    tenantId,
    alias: name,
    revision,
    action,
    routes,
    shadow,
    guard,
    parent,
    keyId,
    approvedBy: approvedBy ?? null,
    reason: breach ? reasonOf(breach) : null,
    breach: breach ?? null,
    createdAt: now,
  });
  await manager.insert(AliasChange, change);
  const values = { adapterId, tenantId, name, routes, shadow, guard, revision, updatedAt: now };
  await manager.upsert(Alias, values, ['adapterId', 'name']);
  await forgetFigures(manager, adapter, name, revision);
  const alias = Object.assign(new Alias(), values);
  const payload = { ...aliasResource(adapter.name, alias), change: aliasChange(change) };
  await addEvent(manager, { tenantId, type: 'adapter.alias.changed', payload });
  return alias;
}

/** Takes an alias away and tells of it. The adapter's row must be locked. */
export async function deleteAlias(manager: EntityManager, adapter: Adapter, alias: Alias): Promise<void> {
  const { tenantId, id: adapterId } = adapter;
  await manager.delete(Alias, { tenantId, adapterId, name: alias.name });
  const payload = { ...aliasResource(adapter.name, alias), routes: [], deleted: true };
  await addEvent(manager, { tenantId, type: 'adapter.alias.changed', payload });
}

async function forgetFigures(manager: EntityManager, adapter: Adapter, alias: string, revision: number) {
  const where = { tenantId: adapter.tenantId, adapterId: adapter.id, alias };
  await manager.delete(AliasFiguresRow, [
    { ...where, kind: 'guard', revision: LessThan(revision) },
    { ...where, kind: 'shadow', revision: LessThan(revision - KEPT_REVISIONS) },
  ]);
}

/** Points `latest` at the newest ready version, or takes it away where there is none. The adapter's row must be locked. */
export async function moveLatest(manager: EntityManager, adapter: Adapter): Promise<void> {
  const { id: adapterId, tenantId } = adapter;
  const where = { adapterId, tenantId, name: LATEST };
  const newest = await manager.maximum(AdapterVersion, 'number', { adapterId, tenantId, state: 'ready' });
  const current = await manager.findOne(Alias, { where });
  if (newest === null) {
    if (current) await deleteAlias(manager, adapter, current);
  } else if (current?.routes[0]?.version !== newest) {
    const routes = [{ version: newest, weight: 1 }];
    await moveAlias(manager, adapter, {
      name: LATEST,
      routes,
      action: 'automatic',
      keyId: null,
      parent: current?.revision ?? null,
    });
  }
}
