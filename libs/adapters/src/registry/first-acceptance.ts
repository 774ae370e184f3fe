import type { AdapterReport } from '#contracts/adapter-report.js';
import type { BaseModel } from '#contracts/base-model.js';
import type { Parity } from '#contracts/parity.js';
import type { BlobInfo } from '#stores/blobs/blob-store.js';
import type { EntityManager } from 'typeorm';
import { moveLatest } from '../aliases/alias-routes.js';
import type { BlobLedger } from '../blobs/blob-ledger.service.js';
import { MANIFEST_FILE } from '../blobs/removal.js';
import type { Adapter } from './adapter.entity.js';
import { AdapterVersion } from './adapter-version.entity.js';

export interface Accepted {
  readonly manifest: BlobInfo;
  /** Files made from those that came, by name. */
  readonly made: ReadonlyMap<string, BlobInfo>;
  readonly base: BaseModel;
  readonly report: AdapterReport;
  readonly parity: Parity | undefined;
}

/** Makes a version callable on the base that is its first, and `latest` follow. The adapter's row must be locked. */
export async function acceptFirst(
  manager: EntityManager,
  ledger: BlobLedger,
  { version, adapter }: { readonly version: AdapterVersion; readonly adapter: Adapter },
  { manifest, made, base, report, parity }: Accepted,
): Promise<void> {
  const { id: versionId, tenantId } = version;
  const files = [[MANIFEST_FILE, manifest] as const, ...made];
  await ledger.record(
    manager,
    files.map(([name, info]) => ({ versionId, tenantId, name, ...info })),
    { own: true },
  );
  await manager.update(
    AdapterVersion,
    { id: versionId },
    {
      state: 'ready',
      digest: manifest.sha256,
      report,
      warnings: report.warnings,
      parity: parity ?? null,
      readyAt: new Date(),
      rank: report.summary.ranks.at(-1) ?? null,
      modules: moduleKinds(report),
      baseModel: base.name,
      baseDigest: base.digest,
    },
  );
  await moveLatest(manager, adapter);
}

/** The last part of each changed module's name, e.g. `q_proj`. */
function moduleKinds(report: AdapterReport): string[] {
  return [...new Set(report.tensors.map(({ module }) => module.slice(module.lastIndexOf('.') + 1)))].sort();
}
