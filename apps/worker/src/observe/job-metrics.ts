import { Inject, Injectable } from '@nestjs/common';
import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import { METRICS } from '#runtime/metrics.js';
import { inSpan } from '#runtime/request-context.js';
import type { Tracing } from '#runtime/tracing/trace-span.js';
import { Postponed } from '#stores/queue/job-queue.js';
import { TRACING } from '../worker-tokens.js';

const SECONDS = [0.05, 0.25, 1, 5, 15, 60, 300, 1_800, 7_200];

/** What this worker does, in metrics and traces: jobs by their kind, and the tasks that it repeats. */
@Injectable()
export class JobMetrics {
  readonly #running: Gauge<'kind'>;
  readonly #seconds: Histogram<'kind' | 'outcome'>;
  readonly #succeededAt: Gauge<'task'>;
  readonly #taskFailures: Counter<'task'>;

  constructor(
    @Inject(METRICS) registry: Registry,
    @Inject(TRACING) private readonly tracing: Tracing | undefined,
  ) {
    const registers = [registry];
    this.#running = new Gauge({
      name: 'lorikeet_worker_running_jobs',
      help: 'Jobs that this worker runs now',
      labelNames: ['kind'],
      registers,
    });
    this.#seconds = new Histogram({
      name: 'lorikeet_worker_job_seconds',
      help: 'Time that this worker took for a job, by how it ended: done, failed, postponed, or closing (both start again)',
      labelNames: ['kind', 'outcome'],
      buckets: SECONDS,
      registers,
    });
    this.#succeededAt = new Gauge({
      name: 'lorikeet_worker_task_success_timestamp_seconds',
      help: 'When a task that is repeated last came to its end without a failure',
      labelNames: ['task'],
      registers,
    });
    this.#taskFailures = new Counter({
      name: 'lorikeet_worker_task_failures_total',
      help: 'How often a task that is repeated failed',
      labelNames: ['task'],
      registers,
    });
  }

  /** Runs one job. */
  async job<T>(kind: string, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    const began_ms = performance.now();
    const end = (outcome: string): void =>
      this.#seconds.observe({ kind, outcome }, (performance.now() - began_ms) / 1000);
    this.#running.inc({ kind });
    const span = this.tracing?.begin(kind, {}, {});
    try {
      const result = await (span ? inSpan(span, work) : work());
      end('done');
      return result;
    } catch (error) {
      const outcome = error instanceof Postponed ? 'postponed' : signal.aborted ? 'closing' : 'failed';
      if (outcome !== 'postponed') span?.fail(outcome);
      end(outcome);
      throw error;
    } finally {
      this.#running.dec({ kind });
      span?.end();
    }
  }

  /** Runs one turn of a task that comes again. */
  async task<T>(task: string, work: () => Promise<T>): Promise<T> {
    this.#taskFailures.inc({ task }, 0);
    try {
      const result = await work();
      this.#succeededAt.set({ task }, Date.now() / 1000);
      return result;
    } catch (error) {
      this.#taskFailures.inc({ task });
      throw error;
    }
  }
}
