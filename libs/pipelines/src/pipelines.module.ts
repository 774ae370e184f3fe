import { type DynamicModule, Module } from '@nestjs/common';
import type { Logger } from '#runtime/logger.js';
import type { SettingsOf } from '#runtime/settings.js';
import { EvaluationSet } from './evaluations/evaluation-set.entity.js';
import { EvaluationSetRevision } from './evaluations/evaluation-set-revision.entity.js';
import { EvaluationSets } from './evaluations/evaluation-sets.service.js';
import { FineTuningEvent } from './fine-tuning/fine-tuning-event.entity.js';
import { FineTuningJob } from './fine-tuning/fine-tuning-job.entity.js';
import { FineTuningJobs } from './fine-tuning/fine-tuning-jobs.service.js';
import { JobReports } from './fine-tuning/job-reports.js';
import { Hook } from './hooks/hook.entity.js';
import { HookDeliveries } from './hooks/hook-deliveries.service.js';
import { HookDelivery } from './hooks/hook-delivery.entity.js';
import { HooksService } from './hooks/hooks.service.js';
import { InboundEvents } from './hooks/inbound-events.service.js';
import { SecretBox } from './secrets/secret-box.js';
import { PIPELINES_LOGGER, PIPELINES_SETTINGS, type pipelinesSettings } from './settings.js';
import { Trainer } from './trainers/trainer.entity.js';
import { TrainersService } from './trainers/trainers.service.js';
import { EventFanOut } from './webhooks/event-fan-out.service.js';
import { WebhookAttempt } from './webhooks/webhook-attempt.entity.js';
import { WebhookDeliveries } from './webhooks/webhook-deliveries.service.js';
import { WebhookDelivery } from './webhooks/webhook-delivery.entity.js';
import { WebhookEndpoint } from './webhooks/webhook-endpoint.entity.js';
import { WebhookEndpoints } from './webhooks/webhook-endpoints.service.js';
import { WebhookRun } from './webhooks/webhook-run.service.js';

export const pipelinesEntities = [
  Hook,
  HookDelivery,
  WebhookEndpoint,
  WebhookDelivery,
  WebhookAttempt,
  Trainer,
  FineTuningJob,
  FineTuningEvent,
  EvaluationSet,
  EvaluationSetRevision,
];

export interface PipelinesOptions {
  readonly settings: SettingsOf<typeof pipelinesSettings>;
  readonly logger: Logger;
}

@Module({})
export class PipelinesModule {
  /** Global: hooks, webhook endpoints, trainers, fine-tuning jobs. Needs StoresModule and OutboundModule. */
  static forRoot({ settings, logger }: PipelinesOptions): DynamicModule {
    const services = [
      HooksService,
      EvaluationSets,
      HookDeliveries,
      InboundEvents,
      WebhookEndpoints,
      WebhookDeliveries,
      WebhookRun,
      EventFanOut,
      TrainersService,
      FineTuningJobs,
      JobReports,
    ];
    return {
      module: PipelinesModule,
      global: true,
      providers: [
        { provide: PIPELINES_SETTINGS, useValue: settings },
        { provide: PIPELINES_LOGGER, useValue: logger },
        { provide: SecretBox, useFactory: () => new SecretBox(settings.secretsKeys) },
        ...services,
      ],
      exports: [...services, SecretBox, PIPELINES_LOGGER],
    };
  }
}
