import { AppError } from '#runtime/app-error.js';
import type { Queryable } from '#stores/postgres/notifications.js';
import type { EntityManager } from 'typeorm';

/*
 * What a tenant may store. Its quotas are a column of accounts' table `tenants`; they are read here, in the transaction
 * that stores, so that no path into the tables can forget them.
 */

interface StorageQuotas {
  readonly adapters: number | null;
  readonly stored_bytes: number | null;
}

export interface StorageUse {
  readonly adapters: number;
  readonly stored_bytes: number;
}

/** Refuses one adapter more than the tenant may have. Creations of one tenant with such a quota wait for each other. */
export async function checkAdapterQuota(manager: EntityManager, tenantId: string): Promise<void> {
  const { adapters: limit } = await quotasOf(manager, tenantId);
  if (limit === null) return;
  await manager.query("SELECT pg_advisory_xact_lock(hashtextextended('adapters of ' || $1, 0))", [tenantId]);
  // Bounded, whatever the tenant has.
  const [room] = (await manager.query(
    'SELECT count(*) < $2 AS left FROM (SELECT 1 FROM adapters WHERE tenant_id = $1 LIMIT $2) AS adapters',
    [tenantId, limit],
  )) as { left: boolean }[];
  if (room?.left) return;
  const { adapters: used } = await storageUse(manager, tenantId);
  throw new AppError('quota_exceeded', {
    message: `The tenant has ${used} adapters, and its quota is ${limit}: delete one first.`,
    extra: { quota: 'adapters', used, limit },
  });
}

/** Refuses an upload before its bytes are sent where the tenant has no room left at all. */
export async function checkAnyRoom(database: Queryable, tenantId: string): Promise<void> {
  const { stored_bytes: limit } = await quotasOf(database, tenantId);
  if (limit === null) return;
  const used = await storedBytes(database, tenantId);
  if (used >= limit) throw bytesExceeded({ used, limit, wanted: undefined });
}

/** Refuses a resumable upload where its bytes, with those of all others that are not used yet, pass the tenant's quota. */
export async function checkRoomFor(database: Queryable, tenantId: string, bytes: number): Promise<void> {
  const { stored_bytes: limit } = await quotasOf(database, tenantId);
  if (limit === null) return;
  await database.query("SELECT pg_advisory_xact_lock(hashtextextended('uploads of ' || $1, 0))", [tenantId]);
  const [open] = (await database.query(
    'SELECT coalesce(sum(bytes), 0)::float8 AS bytes FROM resumable_uploads WHERE tenant_id = $1',
    [tenantId],
  )) as { bytes: number }[];
  const used = (await storedBytes(database, tenantId)) + (open?.bytes ?? 0);
  if (used + bytes > limit) throw bytesExceeded({ used, limit, wanted: bytes });
}

/**
 * Runs `store`, which inserts rows of version_files or files, and refuses what it added where that passes the tenant's quota.
 * The tenant's sum stays locked until the transaction ends, so uploads at the same time cannot pass it together.
 */
export async function withinByteQuota(
  manager: EntityManager,
  tenantId: string,
  store: () => Promise<unknown>,
): Promise<void> {
  const { stored_bytes: limit } = await quotasOf(manager, tenantId);
  if (limit === null) return void (await store());
  const [locked] = (await manager.query(
    `INSERT INTO tenant_storage AS storage (tenant_id) VALUES ($1)
     ON CONFLICT (tenant_id) DO UPDATE SET stored_bytes = storage.stored_bytes
     RETURNING stored_bytes::float8 AS bytes`,
    [tenantId],
  )) as { bytes: number }[];
  const used = locked?.bytes ?? 0;
  await store();
  const wanted = await storedBytes(manager, tenantId);
  if (wanted > limit && wanted > used) throw bytesExceeded({ used, limit, wanted: wanted - used });
}

/** Whether all of a tenant's adapters must name the base that is served. */
export async function requiresBaseMatch(database: Queryable, tenantId: string): Promise<boolean> {
  const [row] = (await database.query('SELECT require_base_match AS wanted FROM tenants WHERE id = $1', [
    tenantId,
  ])) as { wanted: boolean }[];
  return row?.wanted ?? false;
}

export async function storageUse(database: Queryable, tenantId: string): Promise<StorageUse> {
  const [row] = (await database.query(
    'SELECT count(*)::float8 AS adapters FROM adapters WHERE tenant_id = $1',
    [tenantId],
  )) as { adapters: number }[];
  return { adapters: row?.adapters ?? 0, stored_bytes: await storedBytes(database, tenantId) };
}

async function storedBytes(database: Queryable, tenantId: string): Promise<number> {
  const [row] = (await database.query(
    'SELECT stored_bytes::float8 AS bytes FROM tenant_storage WHERE tenant_id = $1',
    [tenantId],
  )) as { bytes: number }[];
  return row?.bytes ?? 0;
}

async function quotasOf(database: Queryable, tenantId: string): Promise<StorageQuotas> {
  const [row] = (await database.query(
    `SELECT (quotas->>'adapters')::float8 AS adapters, (quotas->>'stored_bytes')::float8 AS stored_bytes
     FROM tenants WHERE id = $1`,
    [tenantId],
  )) as StorageQuotas[];
  return row ?? { adapters: null, stored_bytes: null };
}

interface Excess {
  readonly used: number;
  readonly limit: number;
  readonly wanted: number | undefined;
}

function bytesExceeded({ used, limit, wanted }: Excess): AppError {
  const more = wanted === undefined ? '' : `; this needs ${wanted} more`;
  return new AppError('quota_exceeded', {
    message: `The tenant stores ${used} bytes, and its quota is ${limit}${more}. Delete versions or files first.`,
    extra: { quota: 'stored_bytes', used, limit },
  });
}
