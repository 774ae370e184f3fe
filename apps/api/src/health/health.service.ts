import { Inject, Injectable } from '@nestjs/common';
import { INGEST_PRODUCER, type IngestJob } from '#adapters/intake/ingest-job.js';
import { EngineFleet } from '#fleet/engine-fleet.js';
import { Draining } from '#runtime/drain.js';
import type { JobProducer } from '#stores/queue/job-queue.js';
import { DataSource } from 'typeorm';

export type CheckState = 'up' | 'down';

export interface Readiness {
  readonly status: 'ready' | 'not_ready';
  readonly checks: Readonly<Record<'database' | 'queue' | 'engine', CheckState>>;
}

const CHECK_TIMEOUT_MS = 2_000;

/** Whether a request could be served now. */
@Injectable()
export class HealthService {
  constructor(
    private readonly database: DataSource,
    @Inject(INGEST_PRODUCER) private readonly queue: JobProducer<IngestJob>,
    private readonly fleet: EngineFleet,
    private readonly draining: Draining,
  ) {}

  async readiness(): Promise<Readiness> {
    const [database, queue, engine] = await Promise.all([
      inTime(this.database.query('SELECT 1').then(() => true)),
      inTime(this.queue.ready()),
      // One that has just started again may not have been asked since.
      this.fleet.ready() || inTime(this.fleet.base().then(() => this.fleet.ready())),
    ]);
    const checks = { database: stateOf(database), queue: stateOf(queue), engine: stateOf(engine) };
    return { status: database && queue && engine && !this.draining.begun ? 'ready' : 'not_ready', checks };
  }
}

function stateOf(up: boolean): CheckState {
  return up ? 'up' : 'down';
}

/** False when the check fails or takes too long. */
async function inTime(check: Promise<boolean>): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(false), CHECK_TIMEOUT_MS);
  });
  try {
    return await Promise.race([check.catch(() => false), late]);
  } finally {
    clearTimeout(timer);
  }
}
