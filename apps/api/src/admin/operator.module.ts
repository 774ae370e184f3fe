import { type DynamicModule, Module } from '@nestjs/common';
import { APP_INTERCEPTOR } from '@nestjs/core';
import { AccountTotalsService } from '#accounts/account-totals.service.js';
import { AdapterTotalsService } from '#adapters/registry/adapter-totals.service.js';
import { DigestOwners } from '#adapters/registry/digest-owners.service.js';
import { PipelinesOverview } from '#pipelines/pipelines-overview.service.js';
import type { SettingResource } from '#contracts/settings-api.js';
import { MaintenanceService } from '#stores/maintenance/maintenance.service.js';
import { HealthService } from '../health/health.service.js';
import { AuditController } from './audit.controller.js';
import { EnginesController } from './engines.controller.js';
import { EnginesService } from './engines.service.js';
import { JobsController } from './jobs.controller.js';
import { JobsService } from './jobs.service.js';
import { MaintenanceController } from './maintenance.controller.js';
import { MaintenanceInterceptor } from './maintenance.interceptor.js';
import { OperatorListsController } from './operator-lists.controller.js';
import { OverviewController } from './overview.controller.js';
import { OverviewService } from './overview.service.js';
import { SETTINGS_REPORT, SettingsController } from './settings.controller.js';
import { AdminRevalidationsController } from './revalidations.controller.js';
import { TenantUseService } from './tenant-use.service.js';

@Module({})
export class OperatorModule {
  /** How an operator sees and steers the whole: audit log, engines, jobs, maintenance, overview. */
  static forRoot({ settings }: { readonly settings: readonly SettingResource[] }): DynamicModule {
    return {
      module: OperatorModule,
      controllers: [
        OverviewController,
        EnginesController,
        JobsController,
        AuditController,
        OperatorListsController,
        MaintenanceController,
        AdminRevalidationsController,
        SettingsController,
      ],
      providers: [
        AccountTotalsService,
        AdapterTotalsService,
        DigestOwners,
        EnginesService,
        HealthService,
        JobsService,
        MaintenanceService,
        OverviewService,
        PipelinesOverview,
        TenantUseService,
        { provide: SETTINGS_REPORT, useValue: settings },
        { provide: APP_INTERCEPTOR, useClass: MaintenanceInterceptor },
      ],
    };
  }
}
