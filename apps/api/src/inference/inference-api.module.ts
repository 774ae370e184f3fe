import { type DynamicModule, Module, type ModuleMetadata } from '@nestjs/common';
import { InferenceModule } from '#inference/inference.module.js';
import type { Logger } from '#runtime/logger.js';
import { OpenStreams } from '#runtime/open-streams.js';
import { AnswerService } from '../http/answer.service.js';
import { ManyAnswers } from '../http/many-answers.service.js';
import { INFERENCE_LOGGER } from '../http/inference-tokens.js';
import { UncomputedCalls } from '../http/uncomputed-calls.service.js';
import { ChatController } from './chat.controller.js';
import { CompletionsController } from './completions.controller.js';
import { EmbeddingsController } from './embeddings.controller.js';
import { MessagesController } from './messages.controller.js';
import { ModerationsController } from './moderations.controller.js';
import { ModelsController } from './models.controller.js';
import { ModelsService } from './models.service.js';
import { ResponsesController } from './responses.controller.js';
import { ScoreAliasController, ScoreController } from './score.controller.js';
import { TokenizeController } from './tokenize.controller.js';

export interface InferenceApiOptions {
  /** The process's open responses, ended at shutdown. */
  readonly streams: OpenStreams;
  readonly logger: Logger;
  /** Modules that are not global and provide ModelResolver, UsageService or what RequireScope needs. */
  readonly imports?: NonNullable<ModuleMetadata['imports']>;
}

/** The OpenAI-compatible API. Needs EngineFleet, ModelResolver, UsageService and RateLimiter. */
@Module({})
export class InferenceApiModule {
  static forRoot({ streams, logger, imports = [] }: InferenceApiOptions): DynamicModule {
    return {
      module: InferenceApiModule,
      imports: [...imports, InferenceModule.forRoot({ imports })],
      controllers: [
        ModelsController,
        CompletionsController,
        ChatController,
        EmbeddingsController,
        MessagesController,
        ResponsesController,
        ScoreController,
        ScoreAliasController,
        ModerationsController,
        TokenizeController,
      ],
      providers: [
        AnswerService,
        ManyAnswers,
        ModelsService,
        UncomputedCalls,
        { provide: OpenStreams, useValue: streams },
        { provide: INFERENCE_LOGGER, useValue: logger },
      ],
    };
  }
}
