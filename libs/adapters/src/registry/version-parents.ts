import { isDigest, isVersionId, type VersionParent } from '#contracts/lineage-api.js';
import { AppError } from '#runtime/app-error.js';
import type { EntityManager } from 'typeorm';
import { VersionParentRow } from './version-parent.entity.js';

interface Child {
  readonly id: string;
  readonly tenantId: string;
}

/** Finds the versions that a caller names as parents. Throws invalid_request for one that is not there. */
export async function findParents(
  manager: EntityManager,
  tenantId: string,
  references: readonly string[],
): Promise<VersionParent[]> {
  const parents = new Map<string, VersionParent>();
  for (const [index, reference] of references.entries()) {
    const found = await findParent(manager, tenantId, reference);
    if (!found && !isDigest(reference)) {
      throw new AppError('invalid_request', {
        message: `parents[${index}]: there is no version ${reference}.`,
        param: `parents[${index}]`,
      });
    }
    const parent = found ?? { id: null, digest: reference, version: null };
    parents.set(parent.id ?? reference, parent);
  }
  return [...parents.values()];
}

/** Replaces the version's parents. */
export async function writeParents(
  manager: EntityManager,
  { id: versionId, tenantId }: Child,
  parents: readonly VersionParent[],
): Promise<void> {
  await manager.delete(VersionParentRow, { versionId, tenantId });
  if (parents.length === 0) return;
  const rows = parents.map(({ id, digest, version }, position) => ({
    versionId,
    position,
    tenantId,
    parentId: id,
    parentDigest: digest,
    parentName: version,
  }));
  await manager.insert(VersionParentRow, rows);
}

export function parentOf({ parentId, parentDigest, parentName }: VersionParentRow): VersionParent {
  return { id: parentId, digest: parentDigest, version: parentName };
}

async function findParent(
  manager: EntityManager,
  tenantId: string,
  reference: string,
): Promise<VersionParent | undefined> {
  const [condition, values] = isVersionId(reference)
    ? ['version.id = $2', [reference]]
    : isDigest(reference)
      ? ['version.digest = $2', [reference]]
      : ['adapter.name = $2 AND version.number = $3', nameAndNumber(reference)];
  const sql = `
    SELECT version.id, version.digest, adapter.name || '@' || version.number AS version
    FROM adapter_versions version
    JOIN adapters adapter ON adapter.id = version.adapter_id AND adapter.tenant_id = version.tenant_id
    WHERE version.tenant_id = $1 AND ${condition}
    ORDER BY version.id DESC LIMIT 1`;
  return ((await manager.query(sql, [tenantId, ...values])) as VersionParent[])[0];
}

function nameAndNumber(reference: string): [string, number] {
  const at = reference.lastIndexOf('@');
  return [reference.slice(0, at), Number(reference.slice(at + 1))];
}
