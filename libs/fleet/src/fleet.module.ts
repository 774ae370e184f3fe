import { type DynamicModule, Module } from '@nestjs/common';
import type { Registry } from 'prom-client';
import { METRICS } from '#runtime/metrics.js';
import { EngineFleet, type EngineFleetOptions } from './engine-fleet.js';
import { registerFleetMetrics } from './fleet-metrics.js';

@Module({})
export class FleetModule {
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
