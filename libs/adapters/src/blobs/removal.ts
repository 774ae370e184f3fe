import { type EntityManager, IsNull, Not } from 'typeorm';
import { AdapterVersion } from '../registry/adapter-version.entity.js';
import type { ReleasedVersions } from './blob-ledger.service.js';

/** The manifest's name among a version's files. */
export const MANIFEST_FILE = 'manifest.json';

/** What a deletion took away. */
export interface Removal {
  readonly id: string;
  /** Digests that no version holds any more: engines may drop them once their last requests end. */
  readonly digests: readonly string[];
}

/** The digests of all versions of an adapter, or of one of them. */
export async function digestsOf(manager: EntityManager, where: ReleasedVersions): Promise<string[]> {
  const rows = await manager.find(AdapterVersion, {
    select: { digest: true },
    where: { ...where, digest: Not(IsNull()) },
  });
  return [...new Set(rows.flatMap(({ digest }) => digest ?? []))];
}
