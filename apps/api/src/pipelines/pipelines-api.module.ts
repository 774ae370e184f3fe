import { type DynamicModule, Module } from '@nestjs/common';
import { PipelinesModule } from '#pipelines/pipelines.module.js';
import type { pipelinesApiSettings, pipelinesSettings } from '#pipelines/settings.js';
import type { Logger } from '#runtime/logger.js';
import type { SettingsOf } from '#runtime/settings.js';
import { BaseUrl } from './base-url.js';
import { EvaluationSetsController } from './evaluation-sets.controller.js';
import { FineTuningJobsController } from './fine-tuning-jobs.controller.js';
import { HooksController } from './hooks.controller.js';
import { InboundController } from './inbound.controller.js';
import { TrainersController } from './trainers.controller.js';
import { WebhookEndpointsController } from './webhook-endpoints.controller.js';

export interface PipelinesApiOptions {
  readonly settings: SettingsOf<typeof pipelinesSettings & typeof pipelinesApiSettings>;
  readonly logger: Logger;
}

/** Hooks, webhook endpoints, trainers and fine-tuning jobs over HTTP. */
@Module({})
export class PipelinesApiModule {
  static forRoot({ settings, logger }: PipelinesApiOptions): DynamicModule {
    return {
      module: PipelinesApiModule,
      imports: [PipelinesModule.forRoot({ settings, logger })],
      controllers: [
        InboundController,
        HooksController,
        EvaluationSetsController,
        WebhookEndpointsController,
        TrainersController,
        FineTuningJobsController,
      ],
      providers: [{ provide: BaseUrl, useFactory: () => new BaseUrl(settings.publicUrl) }],
      exports: [BaseUrl],
    };
  }
}
