/** Puts jobs of one kind into the queue. */
export interface JobProducer<Data> {
  /**
   * Adds a job once: while a job with the same id waits or runs, nothing happens.
   * Throws AppError dependency_unavailable when the queue is away.
   */
  add(id: string, data: Data): Promise<void>;
  /** Whether the queue answers now. */
  ready(): Promise<boolean>;
  close(): Promise<void>;
}

export interface JobHandling<Data> {
  /** Runs one job; a job whose worker died is given to another worker. `signal` aborts when this worker closes. */
  readonly handle: (data: Data, signal: AbortSignal) => Promise<void>;
  readonly concurrency: number;
}

/** Takes jobs of one kind out of the queue. */
export interface JobConsumer {
  close(): Promise<void>;
}

/** Where jobs wait: Redis, or PostgreSQL where there is no Redis. */
export interface Queues {
  producer<Data>(kind: string): JobProducer<Data>;
  consumer<Data>(kind: string, handling: JobHandling<Data>): JobConsumer;
}
