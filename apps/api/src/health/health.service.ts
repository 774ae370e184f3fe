import { Inject, Injectable } from '@nestjs/common';
import { INGEST_PRODUCER, type IngestJob } from '#adapters/intake/ingest-job.js';
import { EngineFleet } from '#fleet/engine-fleet.js';
import { type CheckState, DependencyCheck, inTime } from '#stores/dependency-check.js';
import { Draining } from '#runtime/drain.js';
import type { JobProducer } from '#stores/queue/job-queue.js';
import { DataSource } from 'typeorm';

export interface Readiness {
  readonly status: 'ready' | 'not_ready';
  readonly checks: Readonly<Record<'database' | 'queue' | 'engine', CheckState>>;
}

/** Whether a request could be served now. */
@Injectable()
export class HealthService {
  readonly #database: DependencyCheck;
  readonly #queue: DependencyCheck;

  constructor(
    database: DataSource,
    @Inject(INGEST_PRODUCER) queue: JobProducer<IngestJob>,
    private readonly fleet: EngineFleet,
    private readonly draining: Draining,
  ) {
    this.#database = new DependencyCheck(() => database.query('SELECT 1'));
    this.#queue = new DependencyCheck(() => queue.answers());
  }

  async readiness(): Promise<Readiness> {
    const [database, queue, engine] = await Promise.all([
      this.#database.state(),
      this.#queue.state(),
      this.#engine(),
    ]);
    const checks = { database, queue, engine };
    const isReady = Object.values(checks).every((state) => state === 'up') && !this.draining.begun;
    return { status: isReady ? 'ready' : 'not_ready', checks };
  }

  async #engine(): Promise<CheckState> {
    // One that has just started again may not have been asked since.
    if (!this.fleet.ready()) await inTime(this.fleet.base().catch(() => undefined));
    return this.fleet.ready() ? 'up' : 'down';
  }
}
