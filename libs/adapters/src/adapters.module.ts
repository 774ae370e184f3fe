import { type DynamicModule, Inject, Module, type OnApplicationShutdown } from '@nestjs/common';
import type { Logger } from '#runtime/logger.js';
import type { SettingsOf } from '#runtime/settings.js';
import type { JobProducer, Queues } from '#stores/queue/job-queue.js';
import { QUEUES } from '#stores/stores.module.js';
import { Adapter } from './adapter.entity.js';
import { AdapterChanges } from './adapter-changes.js';
import { AdapterShare } from './adapter-share.entity.js';
import { AdapterVersion } from './adapter-version.entity.js';
import { AdaptersService } from './adapters.service.js';
import { Alias } from './alias.entity.js';
import { AliasChange } from './alias-change.entity.js';
import { AliasesService } from './aliases.service.js';
import { BlobLedger } from './blob-ledger.service.js';
import { CallableModels } from './callable-models.service.js';
import { INGEST_JOB, INGEST_PRODUCER, type IngestJob } from './ingest-job.js';
import { ModelResolver } from './model-resolver.service.js';
import { ADAPTERS_LOGGER, ADAPTERS_SETTINGS, type adaptersSettings } from './settings.js';
import { SharesService } from './shares.service.js';
import { UploadsService } from './uploads.service.js';
import { LineageService } from './lineage.service.js';
import { VersionParentRow } from './version-parent.entity.js';
import { VersionFile } from './version-file.entity.js';
import { VersionStates } from './version-states.service.js';
import { VersionWaiter } from './version-waiter.service.js';
import { VersionsService } from './versions.service.js';

export const adaptersEntities = [
  Adapter,
  AdapterVersion,
  VersionFile,
  Alias,
  AliasChange,
  AdapterShare,
  VersionParentRow,
];

export interface AdaptersOptions {
  readonly settings: SettingsOf<typeof adaptersSettings>;
  readonly logger: Logger;
}

@Module({})
export class AdaptersModule implements OnApplicationShutdown {
  constructor(@Inject(INGEST_PRODUCER) private readonly producer: JobProducer<IngestJob>) {}

  async onApplicationShutdown(): Promise<void> {
    await this.producer.close();
  }

  /** Global: adapters, versions, aliases, the resolver, and the worker's VersionStates. Needs StoresModule. */
  static forRoot({ settings, logger }: AdaptersOptions): DynamicModule {
    const services = [
      AdapterChanges,
      AdaptersService,
      VersionsService,
      LineageService,
      UploadsService,
      VersionWaiter,
      AliasesService,
      SharesService,
      ModelResolver,
      CallableModels,
      VersionStates,
      BlobLedger,
    ];
    return {
      module: AdaptersModule,
      global: true,
      providers: [
        { provide: ADAPTERS_SETTINGS, useValue: settings },
        { provide: ADAPTERS_LOGGER, useValue: logger },
        {
          provide: INGEST_PRODUCER,
          inject: [QUEUES],
          useFactory: (queues: Queues) => queues.producer<IngestJob>(INGEST_JOB),
        },
        ...services,
      ],
      exports: [...services, INGEST_PRODUCER],
    };
  }
}
