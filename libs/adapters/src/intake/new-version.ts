import type { VersionState } from '#contracts/adapters-api.js';
import type { Derivation } from '#contracts/derivations-api.js';
import type { VersionFacts } from '#contracts/lineage-api.js';
import { currentRequest } from '#runtime/request-context.js';
import type { EntityManager } from 'typeorm';
import type { Adapter } from '../registry/adapter.entity.js';
import { AdapterVersion } from '../registry/adapter-version.entity.js';

export interface NewVersion {
  readonly id: string;
  readonly state: VersionState;
  readonly source: string;
  readonly facts: VersionFacts;
  /** Refuse it when its config does not name the base that is served. */
  readonly requireBaseMatch: boolean;
  /** Names of files that came with it and were not stored. */
  readonly leftOut: readonly string[];
  /** Absent: it is not computed from others. */
  readonly derivation?: Derivation | null;
}

/** Makes the adapter's next version, before anything is known of its files: what is not said has the database's default. */
export async function insertVersion(
  manager: EntityManager,
  adapter: Adapter,
  { facts, leftOut, ...version }: NewVersion,
): Promise<AdapterVersion> {
  const { tenantId } = adapter;
  await manager.insert(AdapterVersion, {
    ...version,
    tenantId,
    adapterId: adapter.id,
    number: adapter.nextVersion,
    leftOut: [...leftOut],
    description: facts.description ?? null,
    labels: facts.labels ?? {},
    trainingJob: facts.training_job ?? null,
    metrics: facts.metrics ?? {},
    createdBy: currentRequest()?.actor ?? null,
    createdAt: new Date(),
  });
  return manager.findOneByOrFail(AdapterVersion, { id: version.id, tenantId });
}
