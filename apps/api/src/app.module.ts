import { type DynamicModule, Module } from '@nestjs/common';
import { AccountsModule, accountsEntities } from '#accounts/accounts.module.js';
import { AdaptersModule, adaptersEntities } from '#adapters/adapters.module.js';
import { batchesEntities, BatchesModule } from '#batches/batches.module.js';
import { FleetModule } from '#fleet/fleet.module.js';
import { pipelinesEntities } from '#pipelines/pipelines.module.js';
import type { Draining } from '#runtime/drain.js';
import { DrainingModule } from '#runtime/draining.module.js';
import type { Logger } from '#runtime/logger.js';
import { Admission } from '#runtime/edge/edge-options.js';
import { MetricsModule } from '#runtime/metrics.js';
import { OpenStreams } from '#runtime/open-streams.js';
import { OutboundModule } from '#runtime/outbound/outbound.module.js';
import type { SettingsOf } from '#runtime/settings.js';
import { settingsReport } from '#runtime/settings-report.js';
import { StoresModule } from '#stores/stores.module.js';
import type { Registry } from 'prom-client';
import { ApiAdmission } from './api-admission.js';
import { AdaptersController } from './adapters/adapters.controller.js';
import { AliasesController } from './adapters/aliases.controller.js';
import { BaseModelRules } from './adapters/base-model-rules.service.js';
import { LastServed } from './adapters/last-served.service.js';
import { PendingChangesController } from './adapters/pending-changes.controller.js';
import { SharesController } from './adapters/shares.controller.js';
import { BaseMovesController } from './adapters/base-moves.controller.js';
import { MergesController } from './adapters/merges.controller.js';
import { RevalidationsController } from './adapters/revalidations.controller.js';
import { VersionSearchController } from './adapters/version-search.controller.js';
import { VersionExportController } from './adapters/version-export.controller.js';
import { VersionFilesController } from './adapters/version-files.controller.js';
import { TusController } from './adapters/tus.controller.js';
import { VersionsController } from './adapters/versions.controller.js';
import { BatchesController } from './batches/batches.controller.js';
import { FilesController } from './batches/files.controller.js';
import { KeysController } from './admin/keys.controller.js';
import { OperatorModule } from './admin/operator.module.js';
import { ConsoleSessionsController } from './admin/console-sessions.controller.js';
import { OperatorKeysController } from './admin/operator-keys.controller.js';
import { TenantLimitsController } from './admin/tenant-limits.controller.js';
import { TenantsController } from './admin/tenants.controller.js';
import { EngineRegistrationsController } from './engines/engine-registrations.controller.js';
import { ENGINE_TOKEN, EngineTokenGuard } from './engines/engine-token.guard.js';
import { FiguresModule } from './figures.module.js';
import { HealthController } from './health/health.controller.js';
import { VersionController } from './health/version.controller.js';
import { HealthService } from './health/health.service.js';
import { IdempotencyModule } from './idempotency/idempotency.module.js';
import { InferenceApiModule } from './inference/inference-api.module.js';
import { PipelinesApiModule } from './pipelines/pipelines-api.module.js';
import { LimitsController } from './limits/limits.controller.js';
import { LimitsService } from './limits/limits.service.js';
import { OidcController } from './session/oidc.controller.js';
import { SessionController } from './session/session.controller.js';
import { SessionService } from './session/session.service.js';
import { apiSettings } from './settings.js';
import { AdminUsageController } from './usage/admin-usage.controller.js';
import { UsageController } from './usage/usage.controller.js';
import { WhoamiController } from './whoami/whoami.controller.js';

export interface AppOptions {
  readonly settings: SettingsOf<typeof apiSettings>;
  readonly logger: Logger;
  readonly streams: OpenStreams;
  readonly draining: Draining;
  readonly registry: Registry;
}

const CONTROLLERS = [
  TenantsController,
  TenantLimitsController,
  LimitsController,
  KeysController,
  OperatorKeysController,
  AdaptersController,
  VersionsController,
  TusController,
  VersionExportController,
  VersionFilesController,
  AliasesController,
  PendingChangesController,
  SharesController,
  VersionSearchController,
  RevalidationsController,
  BaseMovesController,
  MergesController,
  FilesController,
  BatchesController,
  UsageController,
  AdminUsageController,
  WhoamiController,
  SessionController,
  OidcController,
  ConsoleSessionsController,
  HealthController,
  VersionController,
  EngineRegistrationsController,
];

@Module({})
export class AppModule {
  static forRoot({ settings, logger, streams, draining, registry }: AppOptions): DynamicModule {
    const { engineUrls, engineToken } = settings;
    return {
      module: AppModule,
      imports: [
        MetricsModule.forRoot(registry),
        DrainingModule.forRoot(draining),
        StoresModule.forRoot({
          settings,
          logger,
          entities: [...accountsEntities, ...adaptersEntities, ...pipelinesEntities, ...batchesEntities],
        }),
        AccountsModule.forRoot({ settings, logger }),
        OutboundModule.forRoot(settings),
        AdaptersModule.forRoot({ settings, logger }),
        BatchesModule.forRoot(settings),
        FleetModule.forHistory({ engineUrls, engineToken, logger }),
        OperatorModule.forRoot({ settings: settingsReport(apiSettings, settings) }),
        PipelinesApiModule.forRoot({ settings, logger }),
        IdempotencyModule,
        InferenceApiModule.forRoot({ streams, logger }),
        FiguresModule.forRoot({ streams }),
      ],
      controllers: CONTROLLERS,
      providers: [
        LimitsService,
        SessionService,
        BaseModelRules,
        LastServed,
        HealthService,
        { provide: OpenStreams, useValue: streams },

        { provide: ENGINE_TOKEN, useValue: engineToken },
        EngineTokenGuard,
        { provide: Admission, useClass: ApiAdmission },
      ],
    };
  }
}
