import { Counter, Gauge, Registry } from 'prom-client';
import type { LimitKind } from './limit-store.js';

export class LimitMetrics {
  readonly degraded: Gauge;
  readonly #refused: Counter;

  constructor(registry: Registry = new Registry()) {
    const registers = [registry];
    this.degraded = new Gauge({
      name: 'lorikeet_rate_limits_degraded',
      help: '1 while Redis is away and this process grants its share of each limit by itself',
      registers,
    });
    this.#refused = new Counter({
      name: 'lorikeet_rate_limited_total',
      help: 'Requests refused by a limit of their tenant or key',
      labelNames: ['limit'],
      registers,
    });
  }

  refused(limit: LimitKind): void {
    this.#refused.inc({ limit });
  }
}
