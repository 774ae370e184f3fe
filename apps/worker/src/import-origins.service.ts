import type { S3Client } from '@aws-sdk/client-s3';
import { Inject, Injectable, type OnApplicationShutdown } from '@nestjs/common';
import { httpsOrigin } from '#adapters/imports/https-origin.js';
import { type Hub, hubOrigin } from '#adapters/imports/hub-origin.js';
import type { ImportOrigin, OriginLimits } from '#adapters/imports/import-origin.js';
import type { ImportSource } from '#adapters/imports/import-source.js';
import { type S3Access, s3Origin } from '#adapters/imports/s3-origin.js';
import { OutboundHttp } from '#runtime/outbound/outbound-http.js';
import type { SettingsOf } from '#runtime/settings.js';
import { parseS3Url } from '#stores/blobs/open-blob-store.js';
import { makeS3Client } from '#stores/blobs/s3-client.js';
import type { workerSettings } from './settings.js';
import { WORKER_SETTINGS } from './worker-tokens.js';

/** The ways to the files of each kind of source, as the settings open them. */
@Injectable()
export class ImportOrigins implements OnApplicationShutdown {
  readonly #hub: Hub;
  readonly #s3: S3Access;
  #s3Client: S3Client | undefined;

  constructor(
    private readonly http: OutboundHttp,
    @Inject(WORKER_SETTINGS) settings: SettingsOf<typeof workerSettings>,
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
  async open(source: ImportSource, limits: OriginLimits, signal: AbortSignal): Promise<ImportOrigin> {
    switch (source.kind) {
      case 'https':
        return httpsOrigin(source, this.http, limits);
      case 'hub':
        return hubOrigin(source, this.#hub, limits, signal);
      case 's3':
        return s3Origin(source, this.#s3);
      case 'uploads':
        throw new Error('not yet');
    }
  }
}
