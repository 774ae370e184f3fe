import { type DynamicModule, Module } from '@nestjs/common';
import { AccountsModule } from '#accounts/accounts.module.js';
import { InferenceModule } from '#inference/inference.module.js';
import { PipelinePorts } from '#pipelines/hooks/pipeline-ports.js';
import { PipelineRun } from '#pipelines/hooks/pipeline-run.service.js';
import { PipelinesModule } from '#pipelines/pipelines.module.js';
import type { Logger } from '#runtime/logger.js';
import type { SettingsOf } from '#runtime/settings.js';
import type { workerSettings } from '../settings.js';
import { WORKER_LOGGER, WORKER_SETTINGS } from '../worker-tokens.js';
import { DeliverWebhooks } from './deliver-webhooks.js';
import { DispatchEvents } from './dispatch-events.js';
import { RunPipelines } from './run-pipelines.js';
import { VersionAnswers } from './version-answers.service.js';
import { WorkerPorts } from './worker-ports.service.js';

export interface WorkerPipelinesOptions {
  readonly settings: SettingsOf<typeof workerSettings>;
  readonly logger: Logger;
}

/** The jobs of fine-tune pipelines and webhooks. */
@Module({})
export class WorkerPipelinesModule {
  static forRoot({ settings, logger }: WorkerPipelinesOptions): DynamicModule {
    const accounts = AccountsModule.forUsage({ settings, logger });
    return {
      module: WorkerPipelinesModule,
      imports: [
        PipelinesModule.forRoot({ settings, logger }),
        accounts,
        InferenceModule.forRoot({ imports: [accounts] }),
      ],
      providers: [
        { provide: WORKER_SETTINGS, useValue: settings },
        { provide: WORKER_LOGGER, useValue: logger },
        VersionAnswers,
        { provide: PipelinePorts, useClass: WorkerPorts },
        PipelineRun,
        DispatchEvents,
        DeliverWebhooks,
        RunPipelines,
      ],
    };
  }
}
