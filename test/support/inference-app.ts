import { Module } from '@nestjs/common';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { pino } from 'pino';
import { KeyAdmission } from '#accounts/key-admission.js';
import { Credentials } from '#accounts/credentials.service.js';
import { KeyDirectory } from '#accounts/key-directory.service.js';
import { RateLimiter } from '#accounts/limits/rate-limiter.service.js';
import { SpentBudgets } from '#accounts/money/spent-budgets.service.js';
import { RequestLog } from '#accounts/request-log/request-log.service.js';
import { RequestLogSettings } from '#accounts/request-log/request-log-settings.service.js';
import { StoredResponses } from '#accounts/responses/stored-responses.service.js';
import { type UsageRecord, UsageService } from '#accounts/usage.service.js';
import { AliasGuards } from '#adapters/aliases/alias-guards.service.js';
import { AliasShadows } from '#adapters/aliases/alias-shadows.service.js';
import { CallableModels } from '#adapters/registry/callable-models.service.js';
import { SourceModels } from '#adapters/imports/source-models.service.js';
import { ModelResolver } from '#adapters/registry/model-resolver.service.js';
import { FleetModule } from '#fleet/fleet.module.js';
import { AppError } from '#runtime/app-error.js';
import { Admission } from '#runtime/edge/edge-options.js';
import { makeHttpApp } from '#runtime/http-app.js';
import { makeRegistry, MetricsModule } from '#runtime/metrics.js';
import { OpenStreams } from '#runtime/open-streams.js';
import { ApiErrorFilter } from '../../apps/api/src/api-error-filter.js';
import { bodyPipe } from '../../apps/api/src/http/body-pipe.js';
import { InferenceApiModule } from '../../apps/api/src/inference/inference-api.module.js';
import { FakeEngine } from './fake-engine.js';

export const KEY = 'sk-acme';
export const TENANT = { id: 'tenant-1', name: 'acme', weight: 3 };
export const CREATED = new Date('2026-01-02T03:04:05Z');
/** `support`; beside it `billing`, and `old`, whose base model is gone. */
const VERSION = {
  versionId: 'ver-3',
  adapterId: 'adapter-1',
  ownerTenant: TENANT.id,
  adapter: 'support',
  callName: 'support',
  adapterCreatedAt: CREATED,
  alias: undefined,
  version: 3,
  digest: 'd1'.repeat(32),
  formats: {},
};

const BILLING = {
  ...VERSION,
  versionId: 'ver-7',
  adapterId: 'adapter-2',
  adapter: 'billing',
  callName: 'billing',
  version: 7,
  digest: 'b1'.repeat(32),
};

/** The inference API as the product wires it: real HTTP, guard, fleet; the database and the engine's model are fake. */
export interface InferenceApp {
  readonly url: string;
  readonly engine: FakeEngine;
  readonly streams: OpenStreams;
  readonly usage: UsageRecord[];
  readonly logged: Record<string, unknown>[];
  readonly nest: NestFastifyApplication;
  close(): Promise<void>;
}

const keys = {
  findOperator: async () => undefined,
  findTenant: async () => undefined,
  find: async (key: string) => {
    if (key !== KEY && key !== 'sk-adapters-only') return undefined;
    return {
      keyId: 'key-1',
      tenant: { ...TENANT, state: 'active', quotas: {} },
      limits: {},
      scopes: [key === KEY ? 'inference' : 'adapters'],
    };
  },
};

const models = {
  resolve: async (_tenant: unknown, { model }: { model: string }) => {
    if (/^(acme\/)?support([@:].*)?$/.test(model)) return VERSION;
    if (model === 'billing') return BILLING;
    if (model === 'old')
      throw new AppError('version_not_ready', { message: 'old@3 does not answer.', param: 'model' });
    throw new AppError('model_not_found', { message: `There is no model "${model}".`, param: 'model' });
  },
};

const callable = { list: async () => [{ name: 'support', owner: TENANT.name, createdAt: CREATED }] };

/** `served`: a real engine in place of the fake one. */
export async function startInferenceApp(served?: {
  readonly url: string;
  readonly token: string;
}): Promise<InferenceApp> {
  const engine = await FakeEngine.start('cpu-0');
  const usage: UsageRecord[] = [];
  const logged: Record<string, unknown>[] = [];
  const logger = pino(
    { level: 'debug' },
    { write: (line: string) => logged.push(JSON.parse(line) as Record<string, unknown>) },
  );
  const streams = new OpenStreams();

  // Nobody signs in to a console here.
  const credentials = new Credentials(keys as unknown as KeyDirectory, undefined as never);
  const providers = [
    { provide: KeyDirectory, useValue: keys },
    { provide: Credentials, useValue: credentials },
    { provide: Admission, useFactory: () => new KeyAdmission(credentials) },
    { provide: ModelResolver, useValue: models },
    { provide: SourceModels, useValue: {} },
    { provide: CallableModels, useValue: callable },
    { provide: AliasGuards, useValue: { note: () => undefined } },
    { provide: AliasShadows, useValue: { note: () => undefined } },
    { provide: SpentBudgets, useValue: { refusal: () => undefined } },
    { provide: RequestLogSettings, useValue: { of: () => undefined } },
    { provide: RequestLog, useValue: {} },
    { provide: StoredResponses, useValue: {} },
    { provide: RateLimiter, useValue: { isLimited: () => false } },
    {
      provide: UsageService,
      useValue: { record: (record: UsageRecord) => usage.push(record), recordRefusal: () => undefined },
    },
  ];
  @Module({ providers, exports: providers.map(({ provide }) => provide) })
  class FakePlatformModule {}
  @Module({
    imports: [
      MetricsModule.forRoot(makeRegistry('test')),
      FleetModule.forRoot({
        engineUrls: [served?.url ?? engine.url],
        engineToken: served?.token ?? 'token',
        logger,
      }),
      InferenceApiModule.forRoot({ streams, logger, imports: [FakePlatformModule] }),
    ],
  })
  class TestModule {}

  const nest = await makeHttpApp({ module: TestModule, logger });
  nest.useGlobalFilters(new ApiErrorFilter(logger));
  nest.useGlobalPipes(bodyPipe);
  await nest.listen(0, '127.0.0.1');
  const url = await nest.getUrl();
  const close = async () => {
    streams.abortAll('test ends');
    await nest.close();
    await engine.close();
  };
  return { url, engine, streams, usage, logged, nest, close };
}
