import { type DynamicModule, Module, type ModuleMetadata } from '@nestjs/common';
import type { Logger } from '#runtime/logger.js';
import { OpenStreams } from '#runtime/open-streams.js';
import { AdmissionService } from './admission.service.js';
import { AnswerService } from './answer.service.js';
import { ChatController } from './chat.controller.js';
import { CompletionsController } from './completions.controller.js';
import { InferenceMetrics } from './inference-metrics.js';
import { InferenceService } from './inference.service.js';
import { INFERENCE_LOGGER } from './inference-tokens.js';
import { KeptRequests } from './kept-requests.service.js';
import { ModelsController } from './models.controller.js';
import { ModelsService } from './models.service.js';
import { RequestTrials } from './request-trials.service.js';
import { ShadowTraffic } from './shadow-traffic.service.js';

export interface InferenceOptions {
  /** The process's open responses, ended at shutdown. */
  readonly streams: OpenStreams;
  readonly logger: Logger;
  /** Modules that are not global and provide ModelResolver, UsageService or what RequireScope needs. */
  readonly imports?: NonNullable<ModuleMetadata['imports']>;
}

/** The OpenAI-compatible API. Needs EngineFleet, ModelResolver, UsageService and RateLimiter. */
@Module({})
export class InferenceModule {
  static forRoot({ streams, logger, imports = [] }: InferenceOptions): DynamicModule {
    return {
      module: InferenceModule,
      imports,
      controllers: [ModelsController, CompletionsController, ChatController],
      providers: [
        AdmissionService,
        AnswerService,
        InferenceMetrics,
        InferenceService,
        KeptRequests,
        ModelsService,
        RequestTrials,
        ShadowTraffic,
        { provide: OpenStreams, useValue: streams },
        { provide: INFERENCE_LOGGER, useValue: logger },
      ],
    };
  }
}
