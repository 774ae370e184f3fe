import type { ImportProgress } from '#contracts/imports-api.js';
import { type EntityManager, In } from 'typeorm';
import type { AdapterVersion } from '../registry/adapter-version.entity.js';
import { REQUIRED_FILES } from './import-source.js';
import { type FileProgress, VersionImport } from './version-import.entity.js';

/** How far the imports of these versions are, by version id; one that was uploaded has none. */
export async function readImportProgress(
  manager: EntityManager,
  tenantId: string,
  versions: readonly { readonly row: AdapterVersion }[],
): Promise<ReadonlyMap<string, ImportProgress>> {
  if (versions.length === 0) return new Map();
  const versionId = In(versions.map(({ row }) => row.id));
  const rows = await manager.find(VersionImport, { where: { tenantId, versionId } });
  return new Map(rows.map((row) => [row.versionId, progressOf(row)]));
}

function progressOf(row: VersionImport): ImportProgress {
  const waits = row.plan !== null && row.nextAttemptAt.getTime() > Date.now();
  return {
    bytes_done: row.doneBytes,
    bytes_total: row.totalBytes,
    attempts: row.attempts,
    last_error: row.lastError,
    next_attempt_at: waits ? row.nextAttemptAt.toISOString() : null,
  };
}

/** The sum over the files; its total is known once that of every file without which there is no adapter is. */
export function countProgress(files: Readonly<Record<string, FileProgress>>): {
  doneBytes: number;
  totalBytes: number | null;
} {
  const all = Object.values(files);
  const known = REQUIRED_FILES.every((name) => typeof files[name]?.totalBytes === 'number');
  return {
    doneBytes: all.reduce((sum, { doneBytes }) => sum + doneBytes, 0),
    totalBytes: known ? all.reduce((sum, { totalBytes }) => sum + (totalBytes ?? 0), 0) : null,
  };
}
