import type { AdapterQuery, AdapterResource } from '#contracts/adapters-api.js';
import type { EntityManager, SelectQueryBuilder } from 'typeorm';
import type { Adapter } from './adapter.entity.js';
import { AdapterVersion } from './adapter-version.entity.js';
import { whereLabels } from './label-filter.js';

/** Keeps the adapters that have all of what is asked for. */
export function whereAdapter(
  query: SelectQueryBuilder<Adapter>,
  { label, name, state, digest }: Pick<AdapterQuery, 'label' | 'name' | 'state' | 'digest'>,
): void {
  whereLabels(query, label);
  if (name !== undefined) query.andWhere('strpos(lower(adapter.name), lower(:name)) > 0', { name });
  if (state !== undefined) query.andWhere(`EXISTS (${VERSION} AND version.state = :state)`, { state });
  if (digest !== undefined) query.andWhere(`(${DIGEST})`, { digest });
}

const VERSION = 'SELECT FROM adapter_versions version WHERE version.adapter_id = adapter.id';
/** On whichever base. */
const DIGEST = `EXISTS (${VERSION} AND (starts_with(version.digest, :digest) OR EXISTS (
  SELECT FROM version_bases later WHERE later.version_id = version.id AND starts_with(later.digest, :digest))))`;

export async function newestVersions(
  manager: EntityManager,
  adapters: readonly Adapter[],
): Promise<ReadonlyMap<string, NonNullable<AdapterResource['newest_version']>>> {
  if (adapters.length === 0) return new Map();
  const rows = await manager
    .createQueryBuilder(AdapterVersion, 'version')
    .select(['version.id', 'version.adapterId', 'version.number', 'version.state', 'version.createdAt'])
    .distinctOn(['version.adapter_id'])
    .where('version.adapter_id = ANY (:ids)', { ids: adapters.map(({ id }) => id) })
    .orderBy('version.adapter_id')
    .addOrderBy('version.number', 'DESC')
    .getMany();
  return new Map(
    rows.map(({ adapterId, number, state, createdAt }) => [
      adapterId,
      { version: number, state, created_at: createdAt.toISOString() },
    ]),
  );
}
