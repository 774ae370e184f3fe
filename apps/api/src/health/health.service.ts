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
/** A dependency that answered so lately counts as up while its next answer is late: a busy server is no dead one. */
const LATE_MS = 10_000;

/** Whether something answers. Whoever asks at the same time shares one question. */
class Check {
  #asked: Promise<boolean> | undefined;
  #upAt_ms = Number.NEGATIVE_INFINITY;

  constructor(private readonly ask: () => Promise<boolean>) {}

  /** False when it says no or fails; when it is late, by its last answer. */
  async isUp(): Promise<boolean> {
    this.#asked ??= this.#askOnce().finally(() => (this.#asked = undefined));
    return (await inTime(this.#asked)) ?? performance.now() - this.#upAt_ms < LATE_MS;
  }

  async #askOnce(): Promise<boolean> {
    // A question may be lost with its connection: the next caller asks another then.
    const isUp = (await inTime(this.ask(), LATE_MS)) ?? false;
    this.#upAt_ms = isUp ? performance.now() : Number.NEGATIVE_INFINITY;
    return isUp;
  }
}

/** Whether a request could be served now. */
@Injectable()
export class HealthService {
  readonly #database: Check;
  readonly #queue: Check;

  constructor(
    database: DataSource,
    @Inject(INGEST_PRODUCER) queue: JobProducer<IngestJob>,
    private readonly fleet: EngineFleet,
    private readonly draining: Draining,
  ) {
    this.#database = new Check(() => database.query('SELECT 1').then(() => true));
    this.#queue = new Check(() => queue.ready());
  }

  async readiness(): Promise<Readiness> {
    const [database, queue, engine] = await Promise.all([
      this.#database.isUp(),
      this.#queue.isUp(),
      // One that has just started again may not have been asked since.
      this.fleet.ready() || inTime(this.fleet.base().then(() => true)).then(() => this.fleet.ready()),
    ]);
    const checks = { database: stateOf(database), queue: stateOf(queue), engine: stateOf(engine) };
    return { status: database && queue && engine && !this.draining.begun ? 'ready' : 'not_ready', checks };
  }
}

function stateOf(up: boolean): CheckState {
  return up ? 'up' : 'down';
}

/** Undefined when it takes too long or fails. */
async function inTime(check: Promise<boolean>, limit_ms = CHECK_TIMEOUT_MS): Promise<boolean | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), limit_ms);
  });
  try {
    return await Promise.race([check.catch(() => undefined), late]);
  } finally {
    clearTimeout(timer);
  }
}
