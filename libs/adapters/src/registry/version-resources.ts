import type { VersionResource } from '#contracts/adapters-api.js';
import type { VersionParent } from '#contracts/lineage-api.js';
import { type EntityManager, type FindOperator, In } from 'typeorm';
import type { AdapterVersion } from './adapter-version.entity.js';
import { readImportProgress } from '../imports/import-progress.js';
import { versionResource } from './resources.js';
import { WEIGHTS_FILE } from '../intake/upload-parts.js';
import { VersionFile } from '../blobs/version-file.entity.js';
import { VersionBase } from '../revalidation/version-base.entity.js';
import { VersionParentRow } from './version-parent.entity.js';
import { parentOf } from './version-parents.js';

/** A version with the name of its adapter. */
export interface NamedVersion {
  readonly adapter: string;
  readonly row: AdapterVersion;
}

/** The rows as the API shows them, in a few more queries however many they are. */
export async function readVersionResources(
  manager: EntityManager,
  tenantId: string,
  versions: readonly NamedVersion[],
  { reports = true }: { readonly reports?: boolean } = {},
): Promise<VersionResource[]> {
  if (versions.length === 0) return [];
  const versionId = In(versions.map(({ row }) => row.id));
  const files = await manager.find(VersionFile, { where: { tenantId, versionId, name: WEIGHTS_FILE } });
  const parents = await manager.find(VersionParentRow, {
    where: { tenantId, versionId },
    order: { versionId: 'ASC', position: 'ASC' },
  });
  const weightsOf = new Map(files.map((file) => [file.versionId, file]));
  const parentsOf = new Map<string, VersionParent[]>();
  for (const parent of parents)
    parentsOf.set(parent.versionId, [...(parentsOf.get(parent.versionId) ?? []), parentOf(parent)]);
  const basesOf = await readBases(manager, tenantId, { versionId, reports });
  const imported = versions.filter(({ row }) => row.source !== 'upload' || row.state === 'importing');
  const progressOf = await readImportProgress(manager, tenantId, imported);
  return versions.map(({ adapter, row: whole }) => {
    const row = reports ? whole : withoutModules(whole);
    const [weights, progress] = [weightsOf.get(row.id), progressOf.get(row.id)];
    if (!weights && !progress) throw new Error(`version ${row.id} has no weights`);
    return versionResource(adapter, row, {
      weights,
      progress,
      parents: parentsOf.get(row.id) ?? [],
      bases: basesOf.get(row.id) ?? [],
    });
  });
}

/** A derivation without what it says of each module. */
function withoutModules(row: AdapterVersion): AdapterVersion {
  const { derivation } = row;
  if (!derivation?.result) return row;
  return { ...row, derivation: { ...derivation, result: { ...derivation.result, modules: [] } } };
}

/** What became of the versions on later bases, oldest first. */
async function readBases(
  manager: EntityManager,
  tenantId: string,
  { versionId, reports }: { readonly versionId: FindOperator<string>; readonly reports: boolean },
): Promise<ReadonlyMap<string, VersionBase[]>> {
  const columns = manager.connection.getMetadata(VersionBase).columns;
  const rows = await manager.find(VersionBase, {
    select: Object.fromEntries(
      columns.flatMap(({ propertyName }) =>
        reports || propertyName !== 'report' ? [[propertyName, true]] : [],
      ),
    ),
    where: { tenantId, versionId },
    order: { versionId: 'ASC', requestedAt: 'ASC', baseDigest: 'ASC' },
  });
  const byVersion = new Map<string, VersionBase[]>();
  for (const row of rows) byVersion.set(row.versionId, [...(byVersion.get(row.versionId) ?? []), row]);
  return byVersion;
}

export async function readVersionResource(
  manager: EntityManager,
  adapter: string,
  row: AdapterVersion,
): Promise<VersionResource> {
  const [resource] = await readVersionResources(manager, row.tenantId, [{ adapter, row }]);
  if (!resource) throw new Error('one row gives one resource');
  return resource;
}
