import type { Job, Queue } from 'bullmq';
import { closeInTime, inTime } from './in-time.js';
import type { JobCounts, JobInspector, JobPage, JobProgress, JobState, JobView } from './job-queue.js';
import { rangesOf } from './job-ranges.js';

/** What Queue of both backends has in common, as far as we use it. */
export type BullQueue = Pick<
  Queue,
  'add' | 'close' | 'getJob' | 'getJobCounts' | 'getJobLogs' | 'getJobs'
> & {
  on(event: 'error', listener: (error: Error) => void): unknown;
};

/** BullMQ's own names; a job with a priority waits like any other. */
const BULL_STATES = {
  active: ['active'],
  waiting: ['waiting', 'prioritized'],
  delayed: ['delayed'],
  failed: ['failed'],
  completed: ['completed'],
} as const satisfies Record<JobState, readonly string[]>;

const MAX_LOG_LINES = 1_000;

/** Jobs on BullMQ as an operator sees them, on either backend. */
export class BullInspector implements JobInspector {
  readonly #queues = new Map<string, BullQueue>();

  constructor(
    readonly kinds: readonly string[],
    private readonly open: (kind: string) => BullQueue,
  ) {}

  async counts(kind: string): Promise<JobCounts> {
    const types = Object.values(BULL_STATES).flat();
    const found: Record<string, number> = await inTime(this.#queue(kind).getJobCounts(...types));
    const sum = (state: JobState): number =>
      BULL_STATES[state].reduce((total, type) => total + (found[type] ?? 0), 0);
    return {
      active: sum('active'),
      waiting: sum('waiting'),
      delayed: sum('delayed'),
      failed: sum('failed'),
      completed: sum('completed'),
    };
  }

  async oldest(kind: string): Promise<Date | undefined> {
    const [job] = await inTime(this.#queue(kind).getJobs([...BULL_STATES.waiting], 0, 0, true));
    return job ? new Date(job.timestamp) : undefined;
  }

  async list(
    kind: string,
    states: readonly JobState[],
    page: { offset: number; limit: number },
  ): Promise<JobPage> {
    const counts = await this.counts(kind);
    const jobs: JobView[] = [];
    for (const { state, first, last } of rangesOf(counts, states, page)) {
      const found = await inTime(this.#queue(kind).getJobs([...BULL_STATES[state]], first, last, false));
      // One that ended between the two questions may be gone, and leaves a hole.
      for (const job of found) if (job) jobs.push(viewOf(kind, state, job));
    }
    const total = states.reduce((sum, state) => sum + counts[state], 0);
    return { jobs: jobs.slice(0, page.limit), total };
  }

  async get(kind: string, id: string): Promise<JobView | undefined> {
    const job = await this.#job(kind, id);
    if (!job) return undefined;
    const state = stateOf(await inTime(job.getState()));
    return state && viewOf(kind, state, job);
  }

  async logs(kind: string, id: string, limit: number): Promise<readonly string[]> {
    const most = Math.min(limit, MAX_LOG_LINES);
    const { logs } = await inTime(this.#queue(kind).getJobLogs(id, 0, most - 1, false));
    return logs.reverse();
  }

  async retry(kind: string, id: string): Promise<void> {
    const job = await this.#job(kind, id);
    if (job) await inTime(job.retry('failed', { resetAttemptsMade: true }));
  }

  async remove(kind: string, id: string): Promise<boolean> {
    const job = await this.#job(kind, id);
    if (!job) return true;
    return inTime(
      job.remove().then(
        () => true,
        async (error: unknown) => {
          if ((await job.getState()) === 'active') return false;
          throw error;
        },
      ),
    );
  }

  async close(): Promise<void> {
    await Promise.all([...this.#queues.values()].map((queue) => closeInTime(queue.close())));
  }

  async #job(kind: string, id: string): Promise<Job | undefined> {
    return inTime(this.#queue(kind).getJob(id));
  }

  /** Opened at the first question, so that a process that never asks holds no connection. */
  #queue(kind: string): BullQueue {
    const known = this.#queues.get(kind);
    if (known) return known;
    if (!this.kinds.includes(kind)) throw new Error(`no kind of job: ${kind}`);
    const queue = this.open(kind);
    this.#queues.set(kind, queue);
    return queue;
  }
}

function stateOf(type: string): JobState | undefined {
  const states = Object.keys(BULL_STATES) as JobState[];
  return states.find((state) => (BULL_STATES[state] as readonly string[]).includes(type));
}

function viewOf(kind: string, state: JobState, job: Job): JobView {
  const { timestamp, delay, processedOn, finishedOn, failedReason, progress } = job;
  return {
    id: job.id ?? '',
    kind,
    state,
    data: job.data as unknown,
    progress: typeof progress === 'object' ? (progress as JobProgress) : undefined,
    attempts: job.attemptsStarted,
    failure: failedReason || undefined,
    createdAt: new Date(timestamp),
    dueAt: state === 'delayed' ? new Date(timestamp + delay) : undefined,
    startedAt: processedOn === undefined ? undefined : new Date(processedOn),
    endedAt: finishedOn === undefined ? undefined : new Date(finishedOn),
  };
}
