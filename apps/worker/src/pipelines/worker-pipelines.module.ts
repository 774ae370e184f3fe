import { type DynamicModule, Module } from '@nestjs/common';
import { PipelinePorts } from '#pipelines/hooks/pipeline-ports.js';
import { PipelineRun } from '#pipelines/hooks/pipeline-run.service.js';
import { PipelinesModule } from '#pipelines/pipelines.module.js';
import type { Logger } from '#runtime/logger.js';
import type { SettingsOf } from '#runtime/settings.js';
import type { workerSettings } from '../settings.js';
import { WORKER_LOGGER, WORKER_SETTINGS } from '../worker-tokens.js';
import { VersionJudge } from '#pipelines/evaluations/version-judge.service.js';
import { MoveStep } from '../base-moves/move-step.service.js';
import { RunBaseMoves } from '../base-moves/run-base-moves.js';
import { MergeStep } from '../merges/merge-step.service.js';
import { RunMerges } from '../merges/run-merges.js';
import { DeliverWebhooks } from './deliver-webhooks.js';
import { DispatchEvents } from './dispatch-events.js';
import { RunPipelines } from './run-pipelines.js';
import { VersionAnswers } from './version-answers.service.js';
import { WorkerPorts } from './worker-ports.service.js';

export interface WorkerPipelinesOptions {
  readonly settings: SettingsOf<typeof workerSettings>;
  readonly logger: Logger;
  /** Usage and the life of a request; each is made once in the process. */
  readonly imports: readonly DynamicModule[];
}

/** The jobs of fine-tune pipelines, moves to another base, merges, and webhooks. */
@Module({})
export class WorkerPipelinesModule {
  static forRoot({ settings, logger, imports }: WorkerPipelinesOptions): DynamicModule {
    return {
      module: WorkerPipelinesModule,
      imports: [PipelinesModule.forRoot({ settings, logger }), ...imports],
      providers: [
        { provide: WORKER_SETTINGS, useValue: settings },
        { provide: WORKER_LOGGER, useValue: logger },
        VersionAnswers,
        { provide: PipelinePorts, useClass: WorkerPorts },
        PipelineRun,
        DispatchEvents,
        DeliverWebhooks,
        RunPipelines,
        VersionJudge,
        MoveStep,
        RunBaseMoves,
        MergeStep,
        RunMerges,
      ],
    };
  }
}
