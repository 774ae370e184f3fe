import { type DynamicModule, Module } from '@nestjs/common';
import { AccountsModule, accountsEntities } from '#accounts/accounts.module.js';
import { AdaptersModule, adaptersEntities } from '#adapters/adapters.module.js';
import { batchesEntities, BatchesModule } from '#batches/batches.module.js';
import { DigestOwners } from '#adapters/registry/digest-owners.service.js';
import { FleetModule } from '#fleet/fleet.module.js';
import { InferenceModule } from '#inference/inference.module.js';
import type { Registry } from 'prom-client';
import { pipelinesEntities } from '#pipelines/pipelines.module.js';
import { AppError } from '#runtime/app-error.js';
import { Admission } from '#runtime/edge/edge-options.js';
import type { Logger } from '#runtime/logger.js';
import { MetricsModule } from '#runtime/metrics.js';
import { OutboundModule } from '#runtime/outbound/outbound.module.js';
import type { SettingsOf } from '#runtime/settings.js';
import type { Tracing } from '#runtime/tracing/trace-span.js';
import { StoresModule } from '#stores/stores.module.js';
import { WorkerBatchesModule } from './batches/worker-batches.module.js';
import { ForgetOldRows } from './forget-old-rows.js';
import { ImportAdapter } from './import-adapter.js';
import { ImportOrigins } from './import-origins.service.js';
import { VersionValidation } from './version-validation.service.js';
import { IngestAdapter } from './ingest-adapter.js';
import { WorkerPipelinesModule } from './pipelines/worker-pipelines.module.js';
import type { workerSettings } from './settings.js';
import { HealthController } from './observe/health.controller.js';
import { JobMetricsModule } from './observe/job-metrics.module.js';
import { WorkGauges } from './observe/work-gauges.js';
import { ReleaseFiles } from './release-files.js';
import { RollUpUsage } from './roll-up-usage.js';
import { Sweeper } from './sweeper.js';
import { WORKER_LOGGER, WORKER_SETTINGS } from './worker-tokens.js';

/** No route of the worker takes a body. */
function refuseBody(): Promise<never> {
  return Promise.reject(new AppError('invalid_request', { message: 'This server takes no bodies.' }));
}

export interface WorkerOptions {
  readonly settings: SettingsOf<typeof workerSettings>;
  readonly logger: Logger;
  readonly registry: Registry;
  /** Absent: no job is traced. */
  readonly tracing?: Tracing | undefined;
}

@Module({})
export class WorkerModule {
  static forRoot({ settings, logger, registry, tracing }: WorkerOptions): DynamicModule {
    const { engineUrls, engineToken } = settings;
    const accounts = AccountsModule.forUsage({ settings, logger });
    const jobs = JobMetricsModule.forRoot(tracing);
    const life = [accounts, InferenceModule.forRoot({ imports: [accounts] })];
    return {
      module: WorkerModule,
      imports: [
        MetricsModule.forRoot(registry),
        StoresModule.forRoot({
          settings,
          logger,
          entities: [...accountsEntities, ...adaptersEntities, ...pipelinesEntities, ...batchesEntities],
        }),
        accounts,
        jobs,
        OutboundModule.forRoot(settings),
        AdaptersModule.forRoot({ settings, logger }),
        FleetModule.forDatabase({ engineUrls, engineToken, logger }),
        BatchesModule.forRoot(settings),
        WorkerPipelinesModule.forRoot({ settings, logger, imports: life }),
        WorkerBatchesModule.forRoot({ settings, logger, imports: [...life, jobs] }),
      ],
      controllers: [HealthController],
      providers: [
        { provide: WORKER_SETTINGS, useValue: settings },
        { provide: WORKER_LOGGER, useValue: logger },
        { provide: Admission, useValue: { admit: refuseBody } },
        DigestOwners,
        WorkGauges,
        ForgetOldRows,
        IngestAdapter,
        VersionValidation,
        ImportOrigins,
        ImportAdapter,
        ReleaseFiles,
        RollUpUsage,
        Sweeper,
      ],
    };
  }
}
