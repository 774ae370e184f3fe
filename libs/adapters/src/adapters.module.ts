import { type DynamicModule, Inject, Module, type OnApplicationShutdown } from '@nestjs/common';
import type { Logger } from '#runtime/logger.js';
import type { SettingsOf } from '#runtime/settings.js';
import type { JobProducer, Queues } from '#stores/queue/job-queue.js';
import { QUEUES } from '#stores/stores.module.js';
import { Adapter } from './registry/adapter.entity.js';
import { AdapterChanges } from './registry/adapter-changes.js';
import { AdapterShare } from './registry/adapter-share.entity.js';
import { AdapterVersion } from './registry/adapter-version.entity.js';
import { AdaptersService } from './registry/adapters.service.js';
import { Alias } from './aliases/alias.entity.js';
import { AliasChange } from './aliases/alias-change.entity.js';
import { AliasFiguresRow } from './aliases/alias-figures.entity.js';
import { AliasFigures } from './aliases/alias-figures.service.js';
import { AliasGuards } from './aliases/alias-guards.service.js';
import { AliasProtection } from './aliases/alias-protection.entity.js';
import { AliasShadows } from './aliases/alias-shadows.service.js';
import { AliasesService } from './aliases/aliases.service.js';
import { PendingAliasChange } from './aliases/pending-alias-change.entity.js';
import { ProtectedAliases } from './aliases/protected-aliases.service.js';
import { BaseMove } from './base-moves/base-move.entity.js';
import { BaseMoveStates } from './base-moves/base-move-states.service.js';
import { BaseMoveVersion } from './base-moves/base-move-version.entity.js';
import { BaseMoves } from './base-moves/base-moves.service.js';
import { BlobLedger } from './blobs/blob-ledger.service.js';
import { CallableModels } from './registry/callable-models.service.js';
import { IMPORT_JOB, IMPORT_PRODUCER, type ImportJob } from './imports/import-job.js';
import { ImportStates } from './imports/import-states.service.js';
import { DerivationPlans } from './derivation/derivation-plans.service.js';
import { ImportsService } from './imports/imports.service.js';
import { SourceModels } from './imports/source-models.service.js';
import { VersionImport } from './imports/version-import.entity.js';
import { INGEST_JOB, INGEST_PRODUCER, type IngestJob } from './intake/ingest-job.js';
import { Merge } from './merges/merge.entity.js';
import { MergeStates } from './merges/merge-states.service.js';
import { Merges } from './merges/merges.service.js';
import { ModelResolver } from './registry/model-resolver.service.js';
import { ResumableUpload } from './resumable/resumable-upload.entity.js';
import { ResumableUploads } from './resumable/resumable-uploads.service.js';
import { UploadPart } from './resumable/upload-part.entity.js';
import { RevalidationStates } from './revalidation/revalidation-states.service.js';
import { Revalidations } from './revalidation/revalidations.service.js';
import { VersionBase } from './revalidation/version-base.entity.js';
import { ReleasedFile } from './blobs/released-file.entity.js';
import { StoredFile } from './blobs/stored-file.entity.js';
import { ADAPTERS_LOGGER, ADAPTERS_SETTINGS, type adaptersSettings } from './settings.js';
import { SharesService } from './registry/shares.service.js';
import { UploadsService } from './intake/uploads.service.js';
import { LineageService } from './registry/lineage.service.js';
import { VersionParentRow } from './registry/version-parent.entity.js';
import { VersionDigests } from './registry/version-digests.service.js';
import { VersionFilesService } from './blobs/version-files.service.js';
import { VersionFile } from './blobs/version-file.entity.js';
import { VersionStates } from './registry/version-states.service.js';
import { VersionWaiter } from './registry/version-waiter.service.js';
import { VersionsService } from './registry/versions.service.js';

export const adaptersEntities = [
  Adapter,
  AdapterVersion,
  VersionFile,
  Alias,
  AliasChange,
  AliasProtection,
  PendingAliasChange,
  AdapterShare,
  VersionParentRow,
  AliasFiguresRow,
  ReleasedFile,
  VersionImport,
  ResumableUpload,
  UploadPart,
  VersionBase,
  BaseMove,
  BaseMoveVersion,
  Merge,
  StoredFile,
];

export interface AdaptersOptions {
  readonly settings: SettingsOf<typeof adaptersSettings>;
  readonly logger: Logger;
}

@Module({})
export class AdaptersModule implements OnApplicationShutdown {
  constructor(
    @Inject(INGEST_PRODUCER) private readonly producer: JobProducer<IngestJob>,
    @Inject(IMPORT_PRODUCER) private readonly imports: JobProducer<ImportJob>,
  ) {}

  async onApplicationShutdown(): Promise<void> {
    await Promise.all([this.producer.close(), this.imports.close()]);
  }

  /** Global: adapters, versions, aliases, the resolver, and the worker's VersionStates. Needs StoresModule and OutboundModule. */
  static forRoot({ settings, logger }: AdaptersOptions): DynamicModule {
    const services = [
      AdapterChanges,
      AdaptersService,
      VersionsService,
      VersionDigests,
      VersionFilesService,
      LineageService,
      UploadsService,
      VersionWaiter,
      AliasesService,
      ProtectedAliases,
      AliasFigures,
      AliasGuards,
      AliasShadows,
      SharesService,
      ModelResolver,
      CallableModels,
      VersionStates,
      DerivationPlans,
      ImportsService,
      ImportStates,
      SourceModels,
      ResumableUploads,
      BlobLedger,
      RevalidationStates,
      Revalidations,
      BaseMoveStates,
      BaseMoves,
      MergeStates,
      Merges,
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
        {
          provide: IMPORT_PRODUCER,
          inject: [QUEUES],
          useFactory: (queues: Queues) => queues.producer<ImportJob>(IMPORT_JOB),
        },
        ...services,
      ],
      exports: [...services, INGEST_PRODUCER, IMPORT_PRODUCER],
    };
  }
}
