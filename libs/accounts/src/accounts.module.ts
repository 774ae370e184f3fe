import { type DynamicModule, Module } from '@nestjs/common';
import type { Logger } from '#runtime/logger.js';
import type { SettingsOf } from '#runtime/settings.js';
import { ApiKey } from './api-key.entity.js';
import { ApiProcess } from './api-process.entity.js';
import { Credentials } from './credentials.service.js';
import { KeyGuard } from './key.guard.js';
import { KeyDirectory } from './key-directory.service.js';
import { KeyLastUse } from './key-last-use.service.js';
import { KeysService } from './keys.service.js';
import { OperatorKey } from './operator-key.entity.js';
import { OperatorKeysService } from './operator-keys.service.js';
import { ApiProcesses } from './limits/api-processes.service.js';
import { BackgroundCallers } from './background-callers.service.js';
import { OccasionalProcess } from './limits/occasional-process.service.js';
import { RateLimiter } from './limits/rate-limiter.service.js';
import { ConsolePerson } from './sessions/console-person.entity.js';
import { ConsoleSession } from './sessions/console-session.entity.js';
import { ConsoleSessions } from './sessions/console-sessions.service.js';
import { OidcClient } from './sessions/oidc-client.service.js';
import { PersonSignIn } from './sessions/person-sign-in.service.js';
import { SessionList } from './sessions/session-list.service.js';
import { SignInLink } from './sessions/sign-in-link.entity.js';
import type { GoodputLimits } from './history/figures.js';
import { HistoryRetention } from './history/history-retention.service.js';
import { HistoryService } from './history/history.service.js';
import { LiveFigures } from './history/live-figures.service.js';
import { RequestFigures } from './history/request-figures.entity.js';
import { UsedSignIn } from './sessions/used-sign-in.entity.js';
import { BudgetsService } from './money/budgets.service.js';
import { RequestLog } from './request-log/request-log.service.js';
import { RequestLogRetention } from './request-log/request-log-retention.service.js';
import { RequestLogSettings } from './request-log/request-log-settings.service.js';
import { PricesService } from './money/prices.service.js';
import { SpentBudgets } from './money/spent-budgets.service.js';
import {
  ACCOUNTS_LOGGER,
  ACCOUNTS_SETTINGS,
  type accountsSettings,
  CURRENCY,
  GOODPUT_LIMITS,
  type moneySettings,
  RESPONSE_STORAGE,
  type responseSettings,
} from './settings.js';
import { StoredResponse } from './responses/stored-response.entity.js';
import { StoredResponses } from './responses/stored-responses.service.js';
import { Tenant } from './tenant.entity.js';
import { TenantsService } from './tenants.service.js';
import { UsageService } from './usage.service.js';
import { UsageReports } from './usage-reports.service.js';
import { UsageRollup } from './usage-rollup.service.js';
import { UsageDay, UsageRollupDay } from './usage-day.entity.js';
import { UsageFlush } from './usage-flush.entity.js';
import { UsageMinute } from './usage-minute.entity.js';
import { ServedVersion } from './served-version.entity.js';
import { ServedVersions } from './served-versions.service.js';

export const accountsEntities = [
  Tenant,
  ApiKey,
  OperatorKey,
  ApiProcess,
  UsageMinute,
  UsageDay,
  UsageRollupDay,
  UsageFlush,
  ServedVersion,
  RequestFigures,
  ConsolePerson,
  ConsoleSession,
  SignInLink,
  UsedSignIn,
  StoredResponse,
];

export interface AccountsOptions {
  readonly settings: SettingsOf<typeof accountsSettings> & GoodputLimits;
  readonly logger: Logger;
}

export interface UsageOptions {
  readonly settings: SettingsOf<typeof moneySettings & typeof responseSettings> & GoodputLimits;
  readonly logger: Logger;
}

@Module({})
export class AccountsModule {
  /** Global: tenants, keys (with the guard behind RequireScope) and usage. Needs StoresModule. */
  static forRoot({ settings, logger }: AccountsOptions): DynamicModule {
    const services = [
      TenantsService,
      KeysService,
      OperatorKeysService,
      KeyDirectory,
      KeyGuard,
      ConsoleSessions,
      SessionList,
      OidcClient,
      PersonSignIn,
      Credentials,
      UsageService,
      UsageReports,
      ServedVersions,
      BudgetsService,
      PricesService,
      SpentBudgets,
      RequestLog,
      RequestLogSettings,
      StoredResponses,
      HistoryService,
      LiveFigures,
      RateLimiter,
    ];
    return {
      module: AccountsModule,
      global: true,
      providers: [
        { provide: ACCOUNTS_SETTINGS, useValue: settings },
        { provide: ACCOUNTS_LOGGER, useValue: logger },
        { provide: GOODPUT_LIMITS, useValue: settings },
        { provide: CURRENCY, useValue: settings.currency },
        { provide: RESPONSE_STORAGE, useValue: settings.responseStorageBytes },
        KeyLastUse,
        ApiProcesses,
        ...services,
      ],
      exports: [ACCOUNTS_SETTINGS, ACCOUNTS_LOGGER, ...services],
    };
  }

  /**
   * Tenants, what is metered and kept of requests, and who may ask what now, for a process that nobody calls with a key.
   * Once in a process: it connects to Redis.
   */
  static forUsage({ settings, logger }: UsageOptions): DynamicModule {
    const services = [
      TenantsService,
      UsageService,
      UsageRollup,
      HistoryRetention,
      RequestLog,
      RequestLogSettings,
      RequestLogRetention,
      StoredResponses,
      BackgroundCallers,
      OccasionalProcess,
      RateLimiter,
      SpentBudgets,
    ];
    return {
      module: AccountsModule,
      providers: [
        { provide: ACCOUNTS_LOGGER, useValue: logger },
        { provide: GOODPUT_LIMITS, useValue: settings },
        { provide: CURRENCY, useValue: settings.currency },
        { provide: RESPONSE_STORAGE, useValue: settings.responseStorageBytes },
        { provide: ApiProcesses, useExisting: OccasionalProcess },
        ...services,
      ],
      exports: services,
    };
  }
}
