import { type DynamicModule, Module, type ModuleMetadata } from '@nestjs/common';
import { AdmissionService } from './life/admission.service.js';
import { InferenceService } from './life/inference.service.js';
import { ServedModels } from './life/served-models.service.js';
import { TokenizationService } from './life/tokenization.service.js';
import { KeptRequests } from './kept/kept-requests.service.js';
import { InferenceMetrics } from './meter/inference-metrics.js';
import { ResponseChats } from './responses/response-chats.service.js';
import { RequestTrials } from './trials/request-trials.service.js';
import { ShadowTraffic } from './trials/shadow-traffic.service.js';

export interface InferenceOptions {
  /** Modules that are not global and provide UsageService, RequestLog or RequestLogSettings. */
  readonly imports?: NonNullable<ModuleMetadata['imports']>;
}

/**
 * The life of a request. Needs EngineFleet, ModelResolver, AliasGuards, AliasShadows, UsageService, RequestLog,
 * RateLimiter, SpentBudgets and StoredResponses.
 */
@Module({})
export class InferenceModule {
  static forRoot({ imports = [] }: InferenceOptions = {}): DynamicModule {
    const services = [AdmissionService, InferenceService, TokenizationService, KeptRequests, ResponseChats];
    return {
      module: InferenceModule,
      imports,
      providers: [InferenceMetrics, RequestTrials, ServedModels, ShadowTraffic, ...services],
      exports: services,
    };
  }
}
