import { createPostgresBackend, DelayedError, type Job, Queue, withBackend, Worker } from 'bullmq';
import { inTime as endsInTime } from '#runtime/drain.js';
import type { Logger } from '#runtime/logger.js';
import { BullInspector, type BullQueue } from './bull-inspector.js';
import { closeInTime, inTime } from './in-time.js';
import {
  type JobConsumer,
  type JobHandling,
  type JobInspector,
  type JobOptions,
  type JobProducer,
  type JobRun,
  Postponed,
  type Queues,
} from './job-queue.js';

/** The PostgreSQL schema of BullMQ's own tables, apart from ours. */
export const QUEUE_SCHEMA = 'bullmq';

/** A job whose worker stopped renewing its lock for this long is given to another. */
const LOCK_MS = 15_000;
const STALLED_CHECK_MS = 5_000;
/** After a death in the middle a job starts again; the version's own count of attempts bounds it. */
const MAX_STALLED = 1_000;

/** Ended jobs stay for the operator to look at; what they did stands in our own tables. */
const KEPT = {
  removeOnComplete: { age: 3_600, count: 200 },
  removeOnFail: { age: 7 * 86_400, count: 2_000 },
} as const;
/** BullMQ's largest priority. */
const MAX_TURN = 2_097_152;
const FIRST_TURN = 1;
/** Lines of a job's log. */
const KEPT_LOG_LINES = 500;

export interface BullOptions {
  readonly redisUrl: string | undefined;
  readonly databaseUrl: string;
  readonly logger: Logger;
}

interface BullWorker {
  on(event: 'error', listener: (error: Error) => void): unknown;
  on(event: 'failed', listener: (job: { id?: string } | undefined, error: Error) => void): unknown;
  close(force?: boolean): Promise<void>;
}

type Process = (job: Job, token?: string) => Promise<void>;

/** Jobs on BullMQ: on Redis where REDIS_URL names one, else on its PostgreSQL backend. */
export class BullQueues implements Queues {
  readonly #workers = new Set<BullWorker>();

  constructor(private readonly options: BullOptions) {}

  producer<Data>(kind: string): JobProducer<Data> {
    const queue = this.#queue(kind);
    queue.on('error', (err) => this.options.logger.warn({ err, kind }, 'the job queue is away'));
    const answers = async () => {
      await queue.getJobCounts('waiting');
    };
    return {
      add: async (id, data, options) => {
        await inTime(addAnew(queue, kind, { id, data, ...options }));
      },
      hasten: async (id) => {
        const job = await inTime(queue.getJob(id));
        if (job && job.priority > FIRST_TURN) await inTime(job.changePriority({ priority: FIRST_TURN }));
        if (job && (await inTime(job.isDelayed()))) await inTime(job.promote());
      },
      ready: () =>
        inTime(answers()).then(
          () => true,
          () => false,
        ),
      answers,
      close: () => closeInTime(queue.close()),
    };
  }

  consumer<Data>(kind: string, handling: JobHandling<Data>): JobConsumer {
    const closing = new AbortController();
    const worker = this.#worker(kind, handling.concurrency, async (job, token) => {
      try {
        await handling.handle(job.data as Data, closing.signal, this.#runOf(job, kind));
      } catch (error) {
        const wait_ms = waitAfter(error, closing.signal);
        if (wait_ms === undefined) throw error;
        await job.moveToDelayed(Date.now() + wait_ms, token);
        throw new DelayedError();
      }
    });
    this.#workers.add(worker);
    worker.on('error', (err) => this.options.logger.warn({ err, kind }, 'the job queue is away'));
    worker.on('failed', (job, err) => this.options.logger.error({ err, kind, job: job?.id }, 'a job failed'));
    return {
      close: async () => {
        closing.abort(new Error('the worker is closing'));
        await closeInTime(worker.close());
        this.#workers.delete(worker);
      },
    };
  }

  async drain(limit_ms: number): Promise<void> {
    const closing = [...this.#workers].map((worker) => worker.close().catch(() => undefined));
    await endsInTime(Promise.all(closing), limit_ms);
  }

  inspector(kinds: readonly string[]): JobInspector {
    return new BullInspector(kinds, (kind) => {
      const queue = this.#queue(kind);
      queue.on('error', (err) => this.options.logger.warn({ err, kind }, 'the job queue is away'));
      return queue;
    });
  }

  #runOf(job: Job, kind: string): JobRun {
    const quietly = async (work: Promise<unknown>): Promise<void> => {
      await work.catch((err: unknown) =>
        this.options.logger.warn({ err, kind, job: job.id }, 'a job could not tell how far it is'),
      );
    };
    return {
      log: (line) => quietly(job.log(`${new Date().toISOString()} ${line}`)),
      progress: (progress) => quietly(job.updateProgress(progress)),
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
      ...KEPT,
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

/** How long a job that could not run waits before it is given to a worker again; undefined: it failed. */
function waitAfter(error: unknown, closing: AbortSignal): number | undefined {
  if (error instanceof Postponed) return error.wait_ms;
  // Back to where the next worker finds it now, and not once its lock has run out.
  return closing.aborted ? 0 : undefined;
}

/** BullMQ takes no job with the id of one that it knows, so one that has ended is dropped first. */
async function addAnew(
  queue: BullQueue,
  kind: string,
  { id, data, turn }: JobOptions & { readonly id: string; readonly data: unknown },
): Promise<void> {
  const known = await queue.getJob(id);
  if (known?.finishedOn !== undefined) await known.remove();
  await queue.add(kind, data, {
    jobId: id,
    keepLogs: KEPT_LOG_LINES,
    ...(turn === undefined ? {} : { priority: Math.min(Math.max(FIRST_TURN, turn), MAX_TURN) }),
    ...KEPT,
  });
}
