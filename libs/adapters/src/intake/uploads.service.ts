import { Inject, Injectable } from '@nestjs/common';
import type { VersionResource } from '#contracts/adapters-api.js';
import { AppError } from '#runtime/app-error.js';
import type { Logger } from '#runtime/logger.js';
import type { SettingsOf } from '#runtime/settings.js';
import { AuditLog } from '#stores/audit/audit-log.service.js';
import type { BlobInfo, BlobStore } from '#stores/blobs/blob-store.js';
import { newId } from '#stores/ids.js';
import type { JobProducer } from '#stores/queue/job-queue.js';
import { BLOBS } from '#stores/stores.module.js';
import { DataSource } from 'typeorm';
import { Adapter } from '../registry/adapter.entity.js';
import { findAdapter, lockAdapter } from '../registry/adapter-rows.js';
import { AdapterVersion } from '../registry/adapter-version.entity.js';
import { createUnlessThere } from '../registry/adapters.service.js';
import { BlobLedger } from '../blobs/blob-ledger.service.js';
import { INGEST_PRODUCER, type IngestJob } from './ingest-job.js';
import { insertVersion } from './new-version.js';
import { versionResource } from '../registry/resources.js';
import { ADAPTERS_LOGGER, ADAPTERS_SETTINGS, type adaptersSettings } from '../settings.js';
import { checkAnyRoom } from '../registry/tenant-quotas.js';
import { missingPart, WEIGHTS_FILE } from './upload-parts.js';
import { type ReceivedFiles, UploadReader, type UploadSource } from './upload-reader.js';
import { nextTurn } from '../registry/version-states.service.js';
import { findParents, writeParents } from '../registry/version-parents.js';

export interface UploadTarget {
  readonly tenantId: string;
  readonly adapter: string;
  /** Make the adapter when there is none. */
  readonly create: boolean;
  /** Refuse the version when its config does not name the base that is served. */
  readonly requireBaseMatch?: boolean;
}

/** Takes a version's files in and hands it to the workers. */
@Injectable()
export class UploadsService {
  constructor(
    private readonly database: DataSource,
    private readonly ledger: BlobLedger,
    @Inject(BLOBS) private readonly blobs: BlobStore,
    @Inject(INGEST_PRODUCER) private readonly queue: JobProducer<IngestJob>,
    @Inject(ADAPTERS_SETTINGS) private readonly settings: SettingsOf<typeof adaptersSettings>,
    @Inject(ADAPTERS_LOGGER) private readonly logger: Logger,
  ) {}

  /** Stores the files, then makes the version visible with its number; whatever fails before leaves nothing. */
  async upload(target: UploadTarget, source: UploadSource): Promise<VersionResource> {
    if (!target.create) await findAdapter(this.database.manager, target.tenantId, target.adapter);
    await checkAnyRoom(this.database, target.tenantId);
    if (!(await this.queue.ready())) throw new AppError('dependency_unavailable', { retryAfter_s: 2 });
    const reader = new UploadReader(this.blobs, { weightsBytes: this.settings.maxUploadBytes });
    try {
      const version = await this.#record(target, await reader.read(source));
      await this.#enqueue(target.tenantId, version.id);
      return version;
    } catch (error) {
      await this.#forget(reader.stored);
      throw error;
    }
  }

  async #record(
    { tenantId, adapter: name, create, requireBaseMatch = false }: UploadTarget,
    received: ReceivedFiles,
  ): Promise<VersionResource> {
    const weights = received.files.get(WEIGHTS_FILE);
    if (!weights) throw missingPart(WEIGHTS_FILE);
    return this.database.transaction(async (manager) => {
      if (create) await createUnlessThere(manager, tenantId, name);
      const adapter = await lockAdapter(manager, tenantId, name);
      const { metadata: facts, leftOut } = received;
      const [id, state, source] = [newId(), 'uploaded' as const, 'upload'];
      const version = { id, state, source, facts, leftOut, requireBaseMatch };
      const row = await insertVersion(manager, adapter, version);
      await this.ledger.record(manager, filesOf(row, received.files));
      await manager.update(Adapter, { id: adapter.id, tenantId }, { nextVersion: adapter.nextVersion + 1 });
      const parents = await findParents(manager, tenantId, received.metadata.parents ?? []);
      await writeParents(manager, row, parents);
      const resource = versionResource(name, row, { weights, parents, progress: undefined, bases: [] });
      await AuditLog.record(manager, {
        tenantId,
        action: 'adapter.version.create',
        subject: { type: 'adapter.version', id: row.id },
        after: resource,
      });
      return resource;
    });
  }

  /** The version is safe already: where the queue just went away, the worker's sweep finds it. */
  async #enqueue(tenantId: string, versionId: string): Promise<void> {
    try {
      await this.queue.add(versionId, { versionId }, { turn: await nextTurn(this.database, tenantId) });
    } catch (err) {
      this.logger.warn({ err, versionId }, 'the job could not be queued; a sweep will queue it');
    }
  }

  async #forget(stored: readonly string[]): Promise<void> {
    try {
      await this.ledger.free(stored);
    } catch (err) {
      this.logger.warn({ err }, 'the bytes of a failed upload stay until the next sweep');
    }
  }
}

function filesOf({ id: versionId, tenantId }: AdapterVersion, files: ReadonlyMap<string, BlobInfo>) {
  return [...files].map(([name, { sha256, bytes }]) => ({ versionId, tenantId, name, sha256, bytes }));
}
