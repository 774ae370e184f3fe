import { AppError } from '#runtime/app-error.js';
import type { EntityManager } from 'typeorm';
import { Adapter } from './adapter.entity.js';
import { AdapterVersion } from './adapter-version.entity.js';

/** Another tenant's adapter and no adapter are the same answer. */
function noAdapter(): AppError {
  return new AppError('not_found', { message: 'There is no such adapter.' });
}

function noVersion(): AppError {
  return new AppError('not_found', { message: 'There is no such version.' });
}

export async function findAdapter(manager: EntityManager, tenantId: string, name: string): Promise<Adapter> {
  const adapter = await manager.findOne(Adapter, { where: { tenantId, name } });
  if (!adapter) throw noAdapter();
  return adapter;
}

/**
 * Reads an adapter and holds its row until the transaction ends: whoever numbers versions, moves aliases or deletes
 * does so one after another.
 */
export async function lockAdapter(manager: EntityManager, tenantId: string, name: string): Promise<Adapter> {
  const adapter = await manager.findOne(Adapter, {
    where: { tenantId, name },
    lock: { mode: 'pessimistic_write' },
  });
  if (!adapter) throw noAdapter();
  return adapter;
}

export async function findVersion(
  manager: EntityManager,
  adapter: Adapter,
  number: number,
): Promise<AdapterVersion> {
  const where = { tenantId: adapter.tenantId, adapterId: adapter.id, number };
  const version = await manager.findOne(AdapterVersion, { where });
  if (!version) throw noVersion();
  return version;
}
