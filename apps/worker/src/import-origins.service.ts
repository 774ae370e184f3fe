import { join } from 'node:path';
import type { S3Client } from '@aws-sdk/client-s3';
import { Inject, Injectable, type OnApplicationShutdown } from '@nestjs/common';
import { deriveInThread } from '#adapters/derivation/derivation-thread.js';
import { derivedOrigin } from '#adapters/derivation/derived-origin.js';
import { httpsOrigin } from '#adapters/imports/https-origin.js';
import { type Hub, hubOrigin } from '#adapters/imports/hub-origin.js';
import type { ImportOrigin, OriginLimits } from '#adapters/imports/import-origin.js';
import type { ImportSource } from '#adapters/imports/import-source.js';
import type { ImportCase } from '#adapters/imports/import-states.service.js';
import { type S3Access, s3Origin } from '#adapters/imports/s3-origin.js';
import { uploadsOrigin } from '#adapters/imports/uploads-origin.js';
import { ResumableUploads } from '#adapters/resumable/resumable-uploads.service.js';
import { EngineFleet } from '#fleet/engine-fleet.js';
import { OutboundHttp } from '#runtime/outbound/outbound-http.js';
import type { SettingsOf } from '#runtime/settings.js';
import type { BlobStore } from '#stores/blobs/blob-store.js';
import { parseS3Url } from '#stores/blobs/open-blob-store.js';
import { makeS3Client } from '#stores/blobs/s3-client.js';
import { BLOBS } from '#stores/stores.module.js';
import { DataSource } from 'typeorm';
import type { workerSettings } from './settings.js';
import { WORKER_SETTINGS } from './worker-tokens.js';

export interface Opening {
  readonly limits: OriginLimits;
  /** Told of each module, where the files are computed. */
  readonly onModule: (done: number, total: number) => void;
  readonly signal: AbortSignal;
}

/** The ways to the files of each kind of source, as the settings open them. */
@Injectable()
export class ImportOrigins implements OnApplicationShutdown {
  readonly #hub: Hub;
  readonly #s3: S3Access;
  #s3Client: S3Client | undefined;

  constructor(
    private readonly http: OutboundHttp,
    private readonly uploads: ResumableUploads,
    private readonly database: DataSource,
    private readonly fleet: EngineFleet,
    @Inject(BLOBS) private readonly blobs: BlobStore,
    @Inject(WORKER_SETTINGS) private readonly settings: SettingsOf<typeof workerSettings>,
  ) {
    const { hfEndpoint, hfToken, allowPrivateImports, importS3Buckets, storageUrl } = settings;
    // A client of its own: what the operator says of the Hub's address must not open it to other sources.
    const hubHttp = new OutboundHttp({ allowPrivate: allowPrivateImports, trustedOrigins: [hfEndpoint] });
    this.#hub = { http: hubHttp, endpoint: hfEndpoint.replace(/\/+$/, ''), token: hfToken };
    this.#s3 = {
      client: () => (this.#s3Client ??= makeS3Client(settings)),
      open: importS3Buckets,
      storage: parseS3Url(storageUrl),
    };
  }

  async onApplicationShutdown(): Promise<void> {
    this.#s3Client?.destroy();
    await this.#hub.http.close();
  }

  /** Throws ImportError or OutboundError. */
  async open(begun: ImportCase, { limits, onModule, signal }: Opening): Promise<ImportOrigin> {
    const { source, tenantId } = begun;
    switch (source.kind) {
      case 'https':
        return httpsOrigin(source, this.http, limits);
      case 'hub':
        return hubOrigin(source, this.#hub, limits, signal);
      case 's3':
        return s3Origin(source, this.#s3);
      case 'uploads':
        return uploadsOrigin(source, this.uploads, tenantId);
      case 'derived':
        return this.#derive(source, begun, { onModule, signal });
    }
  }

  #derive(
    source: ImportSource & { kind: 'derived' },
    { tenantId, versionId, attempt }: ImportCase,
    { onModule: onProgress, signal }: Omit<Opening, 'limits'>,
  ): Promise<ImportOrigin> {
    const { dataDir, derivationTimeout_s: timeout_s, derivationMemoryBytes: memoryBytes } = this.settings;
    const place = { storage: this.settings, limits: { timeout_s, memoryBytes } };
    return derivedOrigin(source, {
      tenantId,
      manager: this.database.manager,
      blobs: this.blobs,
      folder: join(dataDir, 'imports', versionId, `derived-${attempt}`),
      base: () => this.fleet.base(),
      compute: (job) => deriveInThread(job, place, { onProgress, signal }),
    });
  }

  /** The version is made: frees what only its import needed. What cannot be freed now expires. */
  async used({ source, tenantId }: Pick<ImportCase, 'source' | 'tenantId'>): Promise<void> {
    if (source.kind !== 'uploads') return;
    await this.uploads.used(tenantId, Object.values(source.files)).catch(() => undefined);
  }
}
