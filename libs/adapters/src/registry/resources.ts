import type { AdapterReport } from '#contracts/adapter-report.js';
import type {
  AdapterResource,
  AliasChangeResource,
  AliasResource,
  AliasWithHistory,
  VersionResource,
} from '#contracts/adapters-api.js';
import type { VersionParent } from '#contracts/lineage-api.js';
import type { Parity } from '#contracts/parity.js';
import type { VersionBaseResource } from '#contracts/revalidation-api.js';
import type { ImportProgress } from '#contracts/imports-api.js';
import type { Adapter } from './adapter.entity.js';
import type { AdapterVersion } from './adapter-version.entity.js';
import type { Alias } from '../aliases/alias.entity.js';
import type { AliasChange } from '../aliases/alias-change.entity.js';
import type { VersionBase } from '../revalidation/version-base.entity.js';
import type { VersionFile } from '../blobs/version-file.entity.js';

/** Rows as the API shows them. */

export function adapterResource(
  row: Adapter,
  newest?: NonNullable<AdapterResource['newest_version']>,
): AdapterResource {
  return {
    id: row.id,
    object: 'adapter',
    name: row.name,
    description: row.description,
    base_model: row.baseModel,
    labels: row.labels,
    newest_version: newest ?? null,
    created_at: row.createdAt.toISOString(),
    updated_at: row.updatedAt.toISOString(),
  };
}

/** What stands of a version in tables of its own. */
export interface VersionParts {
  /** Undefined until they are there. */
  readonly weights: Pick<VersionFile, 'sha256' | 'bytes'> | undefined;
  readonly parents: VersionParent[];
  /** Of a version whose files the server fetches itself. */
  readonly progress: ImportProgress | undefined;
  /** What became of it on later bases. */
  readonly bases: readonly VersionBase[];
}

export function versionResource(
  adapter: string,
  row: AdapterVersion,
  { weights, parents, progress, bases }: VersionParts,
): VersionResource {
  return {
    id: row.id,
    object: 'adapter.version',
    adapter,
    version: row.number,
    state: row.state,
    digest: row.digest,
    report: (row.report ?? null) as AdapterReport | null,
    warnings: row.warnings,
    parity: row.parity as Parity | null,
    failure: row.failure,
    import: progress ?? null,
    bytes: weights?.bytes ?? null,
    weights_sha256: weights?.sha256 ?? null,
    rank: row.rank,
    modules: row.modules,
    base_model: row.baseModel,
    base_digest: row.baseDigest,
    bases: bases.map(baseResource),
    source: row.source,
    derivation: row.derivation,
    description: row.description,
    labels: row.labels,
    parents,
    training_job: row.trainingJob,
    metrics: row.metrics,
    created_by: row.createdBy,
    last_served_at: null,
    created_at: row.createdAt.toISOString(),
    ready_at: row.readyAt?.toISOString() ?? null,
  };
}

function baseResource(row: VersionBase): VersionBaseResource {
  return {
    base_model: row.baseModel,
    base_digest: row.baseDigest,
    state: row.state,
    digest: row.digest,
    report: (row.report ?? null) as AdapterReport | null,
    parity: row.parity as Parity | null,
    failure: row.failure,
    held: row.held,
    requested_at: row.requestedAt.toISOString(),
    judged_at: row.judgedAt?.toISOString() ?? null,
  };
}

export function aliasResource(adapter: string, row: Alias): AliasResource {
  return {
    object: 'adapter.alias',
    adapter,
    name: row.name,
    routes: row.routes,
    shadow: row.shadow,
    guard: row.guard,
    revision: row.revision,
    updated_at: row.updatedAt.toISOString(),
  };
}

export function aliasChange(row: AliasChange): AliasChangeResource {
  return {
    revision: row.revision,
    action: row.action,
    routes: row.routes,
    shadow: row.shadow,
    guard: row.guard,
    reason: row.reason,
    breach: row.breach,
    key_id: row.keyId,
    approved_by: row.approvedBy,
    created_at: row.createdAt.toISOString(),
  };
}

export function aliasWithHistory(
  adapter: string,
  row: Alias,
  changes: readonly AliasChange[],
  isProtected: boolean,
): AliasWithHistory {
  return { ...aliasResource(adapter, row), protected: isProtected, history: changes.map(aliasChange) };
}
