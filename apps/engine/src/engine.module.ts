import { type DynamicModule, Module } from '@nestjs/common';
import { APP_GUARD, Reflector } from '@nestjs/core';
import type { Registry } from 'prom-client';
import { Admission } from '#runtime/edge/edge-options.js';
import { MetricsModule } from '#runtime/metrics.js';
import { OpenStreams } from '#runtime/open-streams.js';
import { AdaptersController } from './adapters.controller.js';
import { DrainController } from './drain.controller.js';
import { EngineHost } from './engine-host.js';
import { GenerateController } from './generate.controller.js';
import { HealthController } from './health.controller.js';
import { ParityController } from './parity.controller.js';
import { StatusController } from './status.controller.js';
import { EngineToken } from './engine-token.js';
import { TokensController } from './tokens.controller.js';
import { TokenAdmission } from './token-admission.js';
import { TokenGuard } from './token.guard.js';

export interface EngineModuleOptions {
  readonly host: EngineHost;
  readonly registry: Registry;
  readonly streams: OpenStreams;
  readonly token: string;
}

@Module({})
export class EngineModule {
  static forRoot({ host, registry, streams, token: secret }: EngineModuleOptions): DynamicModule {
    const token = new EngineToken(secret);
    return {
      module: EngineModule,
      imports: [MetricsModule.forRoot(registry)],
      controllers: [
        GenerateController,
        TokensController,
        StatusController,
        DrainController,
        ParityController,
        AdaptersController,
        HealthController,
      ],
      providers: [
        { provide: EngineHost, useValue: host },
        { provide: OpenStreams, useValue: streams },
        { provide: Admission, useFactory: () => new TokenAdmission(token) },
        {
          provide: APP_GUARD,
          inject: [Reflector],
          useFactory: (reflector: Reflector) => new TokenGuard(token, reflector),
        },
      ],
    };
  }
}
