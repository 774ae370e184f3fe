import type { JOB_STATES } from '#contracts/jobs-api.js';

/** Puts jobs of one kind into the queue. */
export interface JobProducer<Data> {
  /**
   * Adds a job once: while a job with the same id waits or runs, nothing happens. One that has ended gives way.
   * Throws AppError dependency_unavailable when the queue is away.
   */
  add(id: string, data: Data, options?: JobOptions): Promise<void>;
  /** Lets a job that waits, or was postponed, come among the first, behind those that are there already. */
  hasten(id: string): Promise<void>;
  /** Whether the queue answers within a few seconds. */
  ready(): Promise<boolean>;
  /** Resolves once the queue has answered, however long that takes; rejects when it is away. */
  answers(): Promise<void>;
  close(): Promise<void>;
}

export interface JobOptions {
  /** A job's turn: those with a smaller number come first, equal ones in the order of their coming. At least 1. */
  readonly turn?: number;
}

/** How a running job tells an operator about itself. Neither call fails the job when the queue is away. */
export interface JobRun {
  /** One line in the job's log. */
  log(line: string): Promise<void>;
  /** Where it stands; shown as it is given. */
  progress(progress: JobProgress): Promise<void>;
}

export interface JobProgress {
  /** What is being done, e.g. `fetching`. */
  readonly stage: string;
  readonly done?: number;
  /** What `done` will be at the end, in the same unit. */
  readonly total?: number;
}

/** Thrown by a handler whose job cannot run yet: it waits so long again, or until it is hastened. */
export class Postponed extends Error {
  constructor(readonly wait_ms: number) {
    super('the job was postponed');
  }
}

export interface JobHandling<Data> {
  /** Runs one job; a job whose worker died is given to another worker. `signal` aborts when this worker closes. */
  readonly handle: (data: Data, signal: AbortSignal, run: JobRun) => Promise<void>;
  readonly concurrency: number;
}

/** Takes jobs of one kind out of the queue. */
export interface JobConsumer {
  /** Jobs that still run are aborted; each is given to another worker at once. */
  close(): Promise<void>;
}

/** Where jobs wait: Redis, or PostgreSQL where there is no Redis. */
export interface Queues {
  producer<Data>(kind: string): JobProducer<Data>;
  consumer<Data>(kind: string, handling: JobHandling<Data>): JobConsumer;
  inspector(kinds: readonly string[]): JobInspector;
  /** The consumers take no more jobs; resolves when those that run have ended, or after the limit. */
  drain(limit_ms: number): Promise<void>;
}

export type JobState = (typeof JOB_STATES)[number];
export type JobCounts = Readonly<Record<JobState, number>>;

export interface JobView {
  readonly id: string;
  readonly kind: string;
  readonly state: JobState;
  readonly data: unknown;
  readonly progress: JobProgress | undefined;
  /** How often it was begun. */
  readonly attempts: number;
  /** Why the last attempt failed. */
  readonly failure: string | undefined;
  readonly createdAt: Date;
  /** When it is due, while it is delayed. */
  readonly dueAt: Date | undefined;
  readonly startedAt: Date | undefined;
  readonly endedAt: Date | undefined;
}

export interface JobPage {
  readonly jobs: readonly JobView[];
  readonly total: number;
}

/** Looks at the jobs of some kinds from outside. Throws AppError dependency_unavailable when the queue is away. */
export interface JobInspector {
  readonly kinds: readonly string[];
  counts(kind: string): Promise<JobCounts>;
  /** When the job was put into the queue that has waited longest; undefined: none waits. */
  oldest(kind: string): Promise<Date | undefined>;
  /** Newest first within a state, states in the order of JOB_STATES; ended jobs are kept for a while only. */
  list(kind: string, states: readonly JobState[], page: { offset: number; limit: number }): Promise<JobPage>;
  get(kind: string, id: string): Promise<JobView | undefined>;
  /** Its last lines, oldest first. */
  logs(kind: string, id: string, limit: number): Promise<readonly string[]>;
  /** Runs a failed job again. */
  retry(kind: string, id: string): Promise<void>;
  /** Takes away a job that nobody runs. False: a worker holds it by now. */
  remove(kind: string, id: string): Promise<boolean>;
  close(): Promise<void>;
}
