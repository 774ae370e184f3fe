import { Inject, Injectable } from '@nestjs/common';
import { Counter, Gauge, type Registry } from 'prom-client';
import { METRICS } from '#runtime/metrics.js';

/** What this worker does of batches. */
@Injectable()
export class BatchMetrics {
  readonly running: Gauge;
  readonly #lines: Counter<'outcome'>;
  readonly #waits: Counter<'reason'>;

  constructor(@Inject(METRICS) registry: Registry) {
    const registers = [registry];
    this.running = new Gauge({
      name: 'lorikeet_batch_lines_running',
      help: 'Lines of batches that this worker asks now',
      registers,
    });
    this.#lines = new Counter({
      name: 'lorikeet_batch_lines_total',
      help: 'Lines of batches by what became of them: completed, or failed',
      labelNames: ['outcome'],
      registers,
    });
    this.#waits = new Counter({
      name: 'lorikeet_batch_line_waits_total',
      help: 'How often a line waited to be asked again, by the error code that was the reason',
      labelNames: ['reason'],
      registers,
    });
  }

  ended(isError: boolean): void {
    this.#lines.inc({ outcome: isError ? 'failed' : 'completed' });
  }

  waited(reason: string): void {
    this.#waits.inc({ reason });
  }
}
