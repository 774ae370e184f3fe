import { Inject, Injectable } from '@nestjs/common';
import type { VersionResource } from '#contracts/adapters-api.js';
import type { ImportFrom } from '#contracts/imports-api.js';
import type { VersionFacts } from '#contracts/lineage-api.js';
import { AppError } from '#runtime/app-error.js';
import type { Logger } from '#runtime/logger.js';
import { OutboundError } from '#runtime/outbound/outbound-error.js';
import { OutboundHttp } from '#runtime/outbound/outbound-http.js';
import { AuditLog } from '#stores/audit/audit-log.service.js';
import { newId } from '#stores/ids.js';
import type { JobProducer } from '#stores/queue/job-queue.js';
import { DataSource, type EntityManager } from 'typeorm';
import { Adapter } from '../registry/adapter.entity.js';
import { findAdapter, findVersion, lockAdapter } from '../registry/adapter-rows.js';
import { AdapterVersion } from '../registry/adapter-version.entity.js';
import { createUnlessThere } from '../registry/adapters.service.js';
import { insertVersion } from '../intake/new-version.js';
import { ResumableUploads } from '../resumable/resumable-uploads.service.js';
import { ADAPTERS_LOGGER } from '../settings.js';
import { findParents, writeParents } from '../registry/version-parents.js';
import { nextTurn } from '../registry/version-states.service.js';
import { readVersionResource } from '../registry/version-resources.js';
import { VersionsService } from '../registry/versions.service.js';
import { IMPORT_PRODUCER, type ImportJob } from './import-job.js';
import { DerivationPlans, type DerivationPlan } from '../derivation/derivation-plans.service.js';
import { checkOneSource, describeSource, type ImportSource, parseImportFrom } from './import-source.js';
import { ImportStates } from './import-states.service.js';
import { VersionImport } from './version-import.entity.js';

export interface ImportOrder {
  readonly tenantId: string;
  /** Its name. */
  readonly adapter: string;
  /** Make the adapter when there is none. */
  readonly create: boolean;
  readonly from: ImportFrom;
  readonly facts: VersionFacts;
  /** Refuse the version when its config does not name the base that is served. */
  readonly requireBaseMatch?: boolean;
  /** A UUID that the caller chose beforehand: the same order given twice makes one version. */
  readonly versionId?: string;
}

/** Where a version comes from; what else is known where it is computed from others. */
interface Planned extends Partial<Pick<DerivationPlan, 'derivation' | 'parents'>> {
  readonly source: ImportSource;
}

/** Versions whose files the server fetches or makes itself. */
@Injectable()
export class ImportsService {
  constructor(
    private readonly database: DataSource,
    private readonly versions: VersionsService,
    private readonly states: ImportStates,
    private readonly uploads: ResumableUploads,
    private readonly derivations: DerivationPlans,
    private readonly http: OutboundHttp,
    @Inject(IMPORT_PRODUCER) private readonly queue: JobProducer<ImportJob>,
    @Inject(ADAPTERS_LOGGER) private readonly logger: Logger,
  ) {}

  /**
   * Makes the version, in state `importing`, and hands its import to the workers. Throws AppError for what can be seen
   * to be wrong at once: invalid_request, not_found (no such adapter), dependency_unavailable.
   */
  async start(order: ImportOrder): Promise<VersionResource> {
    const plan = await this.#plan(order);
    this.#check(plan.source);
    if (!order.create) await findAdapter(this.database.manager, order.tenantId, order.adapter);
    if (!(await this.queue.ready())) throw new AppError('dependency_unavailable', { retryAfter_s: 2 });
    const version = await this.#record(order, plan);
    try {
      const turn = await nextTurn(this.database, order.tenantId);
      await this.queue.add(version.id, { versionId: version.id }, { turn });
    } catch (err) {
      this.logger.warn(
        { err, versionId: version.id },
        'the import could not be queued; a sweep will queue it',
      );
    }
    return version;
  }

  /** Stops an import that still runs: the version is rejected, its bytes are freed. Throws conflict for any other. */
  async cancel(tenantId: string, adapterName: string, number: number): Promise<VersionResource> {
    const { manager } = this.database;
    const version = await findVersion(manager, await findAdapter(manager, tenantId, adapterName), number);
    const failure = 'The import was cancelled.';
    const note = { adapter: adapterName, version: number };
    const record = (within: EntityManager): Promise<void> =>
      AuditLog.record(within, {
        tenantId,
        action: 'adapter.version.cancel',
        subject: { type: 'adapter.version', id: version.id },
        before: { ...note, state: version.state },
        after: { ...note, state: 'rejected', failure },
      });
    if (version.state !== 'importing' || !(await this.states.fail(version.id, failure, record))) {
      throw new AppError('conflict', { message: `Version ${number} is not being imported.` });
    }
    return this.versions.get(tenantId, adapterName, number);
  }

  async #plan({ tenantId, from }: ImportOrder): Promise<Planned> {
    if (from.derive === undefined) return { source: parseImportFrom(from) };
    checkOneSource(from);
    return this.derivations.make(tenantId, from.derive);
  }

  /** What a URL's text tells is told at once; what it resolves to is judged when it is called. */
  #check(source: ImportSource): void {
    if (source.kind !== 'https') return;
    for (const url of Object.values(source.files)) {
      try {
        this.http.check(url);
      } catch (error) {
        if (!(error instanceof OutboundError)) throw error;
        throw new AppError('invalid_request', { message: error.message, param: 'source' });
      }
    }
  }

  async #record(order: ImportOrder, plan: Planned): Promise<VersionResource> {
    const { source, derivation, parents: made = [] } = plan;
    const { tenantId, adapter: name, facts } = order;
    return this.database.transaction(async (manager) => {
      if (order.create) await createUnlessThere(manager, tenantId, name);
      const adapter = await lockAdapter(manager, tenantId, name);
      const id = order.versionId ?? newId();
      const known = await manager.findOneBy(AdapterVersion, { id, tenantId, adapterId: adapter.id });
      if (known) return readVersionResource(manager, name, known);
      if (source.kind === 'uploads') await this.uploads.claim(manager, tenantId, Object.values(source.files));
      const row = await insertVersion(manager, adapter, {
        id,
        state: 'importing',
        source: describeSource(source),
        facts,
        requireBaseMatch: order.requireBaseMatch ?? false,
        leftOut: [],
        derivation: derivation ?? null,
      });
      await manager.insert(VersionImport, {
        versionId: id,
        tenantId,
        plan: source,
        sha256: order.from.sha256 ?? null,
      });
      await manager.update(Adapter, { id: adapter.id, tenantId }, { nextVersion: adapter.nextVersion + 1 });
      const named = await findParents(manager, tenantId, facts.parents ?? []);
      const added = named.filter(({ id }) => id === null || !made.some((parent) => parent.id === id));
      await writeParents(manager, row, [...made, ...added]);
      const resource = await readVersionResource(manager, name, row);
      await AuditLog.record(manager, {
        tenantId,
        action: 'adapter.version.create',
        subject: { type: 'adapter.version', id },
        after: resource,
      });
      return resource;
    });
  }
}
