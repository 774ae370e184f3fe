import { type DynamicModule, Module } from '@nestjs/common';
import { AccountsModule, accountsEntities } from '#accounts/accounts.module.js';
import { AdaptersModule, adaptersEntities } from '#adapters/adapters.module.js';
import { FleetModule } from '#fleet/fleet.module.js';
import { pipelinesEntities } from '#pipelines/pipelines.module.js';
import type { Logger } from '#runtime/logger.js';
import { OutboundModule } from '#runtime/outbound/outbound.module.js';
import type { SettingsOf } from '#runtime/settings.js';
import { StoresModule } from '#stores/stores.module.js';
import { ImportAdapter } from './import-adapter.js';
import { ImportOrigins } from './import-origins.service.js';
import { IngestAdapter } from './ingest-adapter.js';
import { WorkerPipelinesModule } from './pipelines/worker-pipelines.module.js';
import type { workerSettings } from './settings.js';
import { ReleaseFiles } from './release-files.js';
import { RollUpUsage } from './roll-up-usage.js';
import { Sweeper } from './sweeper.js';
import { WORKER_LOGGER, WORKER_SETTINGS } from './worker-tokens.js';

export interface WorkerOptions {
  readonly settings: SettingsOf<typeof workerSettings>;
  readonly logger: Logger;
}

@Module({})
export class WorkerModule {
  static forRoot({ settings, logger }: WorkerOptions): DynamicModule {
    const { engineUrls, engineToken } = settings;
    return {
      module: WorkerModule,
      imports: [
        StoresModule.forRoot({
          settings,
          logger,
          entities: [...accountsEntities, ...adaptersEntities, ...pipelinesEntities],
        }),
        AccountsModule.forUsage({ logger }),
        OutboundModule.forRoot(settings),
        AdaptersModule.forRoot({ settings, logger }),
        FleetModule.forDatabase({ engineUrls, engineToken, logger }),
        WorkerPipelinesModule.forRoot({ settings, logger }),
      ],
      providers: [
        { provide: WORKER_SETTINGS, useValue: settings },
        { provide: WORKER_LOGGER, useValue: logger },
        IngestAdapter,
        ImportOrigins,
        ImportAdapter,
        ReleaseFiles,
        RollUpUsage,
        Sweeper,
      ],
    };
  }
}
