import type { VersionState } from '#contracts/adapters-api.js';
import type { VersionFacts } from '#contracts/lineage-api.js';
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
}

/** The adapter's next version, before anything is known of its files. */
export function newVersion(adapter: Adapter, version: NewVersion): AdapterVersion {
  const { id, state, source, facts, requireBaseMatch, leftOut } = version;
  return Object.assign(new AdapterVersion(), {
    id,
    tenantId: adapter.tenantId,
    adapterId: adapter.id,
    number: adapter.nextVersion,
    state,
    digest: null,
    report: null,
    failure: null,
    attempts: 0,
    rank: null,
    modules: [],
    baseModel: null,
    baseDigest: null,
    requireBaseMatch,
    leftOut: [...leftOut],
    warnings: [],
    source,
    description: facts.description ?? null,
    labels: facts.labels ?? {},
    trainingJob: facts.training_job ?? null,
    metrics: facts.metrics ?? {},
    createdAt: new Date(),
    readyAt: null,
  });
}
