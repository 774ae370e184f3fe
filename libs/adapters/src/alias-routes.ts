import type { Route } from '#contracts/adapters-api.js';
import type { EntityManager } from 'typeorm';
import type { Adapter } from './adapter.entity.js';
import { AdapterVersion } from './adapter-version.entity.js';
import { Alias } from './alias.entity.js';
import { AliasChange } from './alias-change.entity.js';

/** Follows the newest ready version by itself. */
export const LATEST = 'latest';
/** What a name without version or alias means, where it is set. */
export const PRODUCTION = 'production';

export interface AliasMove {
  readonly name: string;
  readonly routes: Route[];
  readonly action: AliasChange['action'];
  /** The revision to which a rollback returns from here. */
  readonly parent: number | null;
  readonly keyId: string | null;
}

/** Points an alias elsewhere and writes its history. The adapter's row must be locked. */
export async function moveAlias(manager: EntityManager, adapter: Adapter, move: AliasMove): Promise<Alias> {
  const { id: adapterId, tenantId } = adapter;
  const { name, routes, action, parent, keyId } = move;
  const last = await manager.maximum(AliasChange, 'revision', { adapterId, tenantId, alias: name });
  const revision = (last ?? 0) + 1;
  const now = new Date();
  await manager.insert(AliasChange, {
    adapterId,
    tenantId,
    alias: name,
    revision,
    action,
    routes,
    parent,
    keyId,
    createdAt: now,
  });
  const alias = { adapterId, tenantId, name, routes, revision, updatedAt: now };
  await manager.upsert(Alias, alias, ['adapterId', 'name']);
  return Object.assign(new Alias(), alias);
}

/** Points `latest` at the newest ready version, or takes it away where there is none. The adapter's row must be locked. */
export async function moveLatest(manager: EntityManager, adapter: Adapter): Promise<void> {
  const { id: adapterId, tenantId } = adapter;
  const where = { adapterId, tenantId, name: LATEST };
  const newest = await manager.maximum(AdapterVersion, 'number', { adapterId, tenantId, state: 'ready' });
  const current = await manager.findOne(Alias, { where });
  if (newest === null) {
    await manager.delete(Alias, where);
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
