import { Gauge, type Registry } from 'prom-client';
import type { EngineFleet } from './engine-fleet.js';

/** Registers gauges that read the fleet's last statuses when they are scraped. */
export function registerFleetMetrics(registry: Registry, fleet: EngineFleet): void {
  const labelNames = ['engine'];
  const gauge = (
    name: string,
    help: string,
    read: (view: ReturnType<EngineFleet['statuses']>[number]) => number,
  ) =>
    new Gauge({
      name,
      help,
      labelNames,
      registers: [registry],
      collect() {
        this.reset();
        for (const view of fleet.statuses()) this.set({ engine: view.url }, read(view));
      },
    });
  gauge('lorikeet_fleet_engine_ready', 'Whether the engine can serve, by its last status', ({ state }) =>
    state === 'ready' ? 1 : 0,
  );
  gauge('lorikeet_fleet_open_streams', 'Generations that this process has open', (view) => view.openStreams);
  gauge(
    'lorikeet_fleet_queued_tokens',
    'Tokens that the engine has still to compute, by its last status',
    ({ status }) => status?.load.queuedTokens ?? 0,
  );
}
