import { type DynamicModule, Module } from '@nestjs/common';
import type { Registry } from 'prom-client';
import { METRICS } from '#runtime/metrics.js';
import { Notifications } from '#stores/postgres/notifications.js';
import { EngineDirectory } from './engine-directory.service.js';
import { EngineFleet, type EngineFleetOptions } from './engine-fleet.js';
import { EngineRegistrations } from './engine-registrations.service.js';
import { registerFleetMetrics } from './fleet-metrics.js';
import { EngineHistory } from './history/engine-history.service.js';
import { FLEET_LOGGER, WatchEngines } from './history/watch-engines.service.js';

@Module({})
export class FleetModule {
  /** As `forRoot`, with the engines that registered themselves: provides EngineRegistrations and EngineHistory too. Needs StoresModule. */
  static forDatabase(options: EngineFleetOptions): DynamicModule {
    const module = FleetModule.forRoot(options);
    return {
      ...module,
      providers: [
        ...(module.providers ?? []),
        EngineRegistrations,
        EngineHistory,
        {
          provide: EngineDirectory,
          inject: [EngineFleet, EngineRegistrations, Notifications],
          useFactory: (
            fleet: EngineFleet,
            registrations: EngineRegistrations,
            notifications: Notifications,
          ) => new EngineDirectory(fleet, registrations, notifications, options.logger),
        },
      ],
      exports: [EngineFleet, EngineRegistrations, EngineHistory],
    };
  }

  /** As `forDatabase`, for the processes that write down how busy the engines are. */
  static forHistory(options: EngineFleetOptions): DynamicModule {
    const module = FleetModule.forDatabase(options);
    const watch = [WatchEngines, { provide: FLEET_LOGGER, useValue: options.logger }];
    return { ...module, providers: [...(module.providers ?? []), ...watch] };
  }

  /** Global: provides EngineFleet. Metrics are registered where the process has a registry. */
  static forRoot(options: EngineFleetOptions): DynamicModule {
    return {
      module: FleetModule,
      global: true,
      providers: [
        {
          provide: EngineFleet,
          inject: [{ token: METRICS, optional: true }],
          useFactory: (registry: Registry | undefined) => {
            const fleet = new EngineFleet(options);
            if (registry) registerFleetMetrics(registry, fleet);
            return fleet;
          },
        },
      ],
      exports: [EngineFleet],
    };
  }
}
