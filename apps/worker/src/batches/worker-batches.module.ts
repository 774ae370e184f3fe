import { type DynamicModule, Module } from '@nestjs/common';
import type { Logger } from '#runtime/logger.js';
import type { SettingsOf } from '#runtime/settings.js';
import type { workerSettings } from '../settings.js';
import { WORKER_LOGGER, WORKER_SETTINGS } from '../worker-tokens.js';
import { BatchFiles } from './batch-files.service.js';
import { BatchMetrics } from './batch-metrics.js';
import { BatchRun } from './batch-run.service.js';
import { CLOCK, SYSTEM_CLOCK } from './clock.js';
import { InputLines } from './input-lines.service.js';
import { LineAnswers } from './line-answers.service.js';
import { LineQuestions } from './line-questions.service.js';
import { RunBatches } from './run-batches.js';

export interface WorkerBatchesOptions {
  readonly settings: SettingsOf<typeof workerSettings>;
  readonly logger: Logger;
  /** Usage, limits, the life of a request and JobMetrics; each is made once in the process. */
  readonly imports: readonly DynamicModule[];
}

/** The job that carries out batches of requests. */
@Module({})
export class WorkerBatchesModule {
  static forRoot({ settings, logger, imports }: WorkerBatchesOptions): DynamicModule {
    return {
      module: WorkerBatchesModule,
      imports: [...imports],
      providers: [
        { provide: WORKER_SETTINGS, useValue: settings },
        { provide: WORKER_LOGGER, useValue: logger },
        { provide: CLOCK, useValue: SYSTEM_CLOCK },
        BatchMetrics,
        InputLines,
        LineQuestions,
        LineAnswers,
        BatchFiles,
        BatchRun,
        RunBatches,
      ],
    };
  }
}
