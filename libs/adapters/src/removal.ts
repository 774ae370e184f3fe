import type { EntityManager } from 'typeorm';
import { AdapterVersion } from './adapter-version.entity.js';
import { VersionFile } from './version-file.entity.js';

/** The manifest's name among a version's files. */
export const MANIFEST_FILE = 'manifest.json';

/** What a deletion took away. */
export interface Removal {
  readonly id: string;
  /** Digests that no version holds any more: engines may drop them. */
  readonly digests: readonly string[];
}

export interface HeldFile {
  readonly sha256: string;
  readonly isManifest: boolean;
}

/** The blobs named by all versions of an adapter, or by one of them. */
export async function heldFiles(
  manager: EntityManager,
  where: { tenantId: string; adapterId: string; number?: number },
): Promise<HeldFile[]> {
  const query = manager
    .createQueryBuilder(VersionFile, 'file')
    .innerJoin(AdapterVersion, 'version', 'version.id = file.version_id')
    .where('version.tenant_id = :tenantId AND version.adapter_id = :adapterId', where);
  if (where.number !== undefined) query.andWhere('version.number = :number', { number: where.number });
  const files = await query.getMany();
  return files.map(({ sha256, name }) => ({ sha256, isManifest: name === MANIFEST_FILE }));
}
