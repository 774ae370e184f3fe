import { setTimeout as sleep } from 'node:timers/promises';
import { createPostgresBackend, Queue, withBackend, Worker } from 'bullmq';
import { AppError } from '#runtime/app-error.js';
import type { Logger } from '#runtime/logger.js';
import type { JobConsumer, JobHandling, JobProducer, Queues } from './job-queue.js';

/** The PostgreSQL schema of BullMQ's own tables, apart from ours. */
export const QUEUE_SCHEMA = 'bullmq';

/** A job whose worker stopped renewing its lock for this long is given to another. */
const LOCK_MS = 15_000;
const STALLED_CHECK_MS = 5_000;
/** After a death in the middle a job starts again; the version's own count of attempts bounds it. */
const MAX_STALLED = 1_000;
const ADD_TIMEOUT_MS = 3_000;
const CLOSE_TIMEOUT_MS = 4_000;

/** A failed job leaves no trace in the queue: its outcome stands in our own tables, and a sweep may add it again. */
const KEEP_NOTHING = { removeOnComplete: true, removeOnFail: true } as const;

export interface BullOptions {
  readonly redisUrl: string | undefined;
  readonly databaseUrl: string;
  readonly logger: Logger;
}

/** What Queue of both backends has in common, as far as we use it. */
interface BullQueue {
  add(name: string, data: unknown, options: object): Promise<unknown>;
  getJobCounts(...types: 'waiting'[]): Promise<unknown>;
  on(event: 'error', listener: (error: Error) => void): unknown;
  close(): Promise<void>;
}

interface BullWorker {
  on(event: 'error', listener: (error: Error) => void): unknown;
  on(event: 'failed', listener: (job: { id?: string } | undefined, error: Error) => void): unknown;
  close(force?: boolean): Promise<void>;
}

type Process = (job: { data: unknown }) => Promise<void>;

/** Jobs on BullMQ: on Redis where REDIS_URL names one, else on its PostgreSQL backend. */
export class BullQueues implements Queues {
  constructor(private readonly options: BullOptions) {}

  producer<Data>(kind: string): JobProducer<Data> {
    const queue = this.#queue(kind);
    queue.on('error', (err) => this.options.logger.warn({ err, kind }, 'the job queue is away'));
    return {
      add: async (id, data) => {
        await inTime(queue.add(kind, data, { jobId: id, ...KEEP_NOTHING }));
      },
      ready: () =>
        inTime(queue.getJobCounts('waiting')).then(
          () => true,
          () => false,
        ),
      close: () => closeInTime(queue.close()),
    };
  }

  consumer<Data>(kind: string, handling: JobHandling<Data>): JobConsumer {
    const closing = new AbortController();
    const worker = this.#worker(kind, handling.concurrency, (job) =>
      handling.handle(job.data as Data, closing.signal),
    );
    worker.on('error', (err) => this.options.logger.warn({ err, kind }, 'the job queue is away'));
    worker.on('failed', (job, err) => this.options.logger.error({ err, kind, job: job?.id }, 'a job failed'));
    return {
      close: async () => {
        closing.abort(new Error('the worker is closing'));
        await closeInTime(worker.close());
      },
    };
  }

  #queue(kind: string): BullQueue {
    const { redisUrl } = this.options;
    if (redisUrl === undefined) {
      return new (withBackend(createPostgresBackend).Queue)(kind, { connection: this.#postgres() });
    }
    // An HTTP request must hear at once that Redis is away, so nothing waits in a queue of commands.
    const connection = { url: redisUrl, maxRetriesPerRequest: 1, enableOfflineQueue: false };
    return new Queue(kind, { connection });
  }

  #worker(kind: string, concurrency: number, process: Process): BullWorker {
    const { redisUrl } = this.options;
    const options = {
      concurrency,
      lockDuration: LOCK_MS,
      stalledInterval: STALLED_CHECK_MS,
      maxStalledCount: MAX_STALLED,
      removeOnComplete: { count: 0 },
      removeOnFail: { count: 0 },
    };
    if (redisUrl === undefined) {
      const bound = withBackend(createPostgresBackend);
      return new bound.Worker(kind, process, { ...options, connection: this.#postgres() });
    }
    return new Worker(kind, process, {
      ...options,
      connection: { url: redisUrl, maxRetriesPerRequest: null },
    });
  }

  #postgres(): { connectionString: string; schema: string; max: number } {
    return { connectionString: this.options.databaseUrl, schema: QUEUE_SCHEMA, max: 3 };
  }
}

/** Waits for a close, though not for a server that is away: its connection ends with the process. */
async function closeInTime(closing: Promise<void>): Promise<void> {
  const timer = new AbortController();
  const late = sleep(CLOSE_TIMEOUT_MS, undefined, { signal: timer.signal }).catch(() => undefined);
  closing.catch(() => undefined);
  await Promise.race([closing, late]);
  timer.abort();
}

/** Rejects with dependency_unavailable when the queue fails or does not answer. */
async function inTime<T>(work: Promise<T>): Promise<T> {
  const timer = new AbortController();
  const late = sleep(ADD_TIMEOUT_MS, undefined, { signal: timer.signal }).then(() => {
    throw new Error('the job queue does not answer');
  });
  late.catch(() => undefined);
  work.catch(() => undefined);
  try {
    return await Promise.race([work, late]);
  } catch (cause) {
    throw new AppError('dependency_unavailable', { retryAfter_s: 2, cause });
  } finally {
    timer.abort();
  }
}
