import { Inject, Injectable, type OnApplicationShutdown } from '@nestjs/common';
import { IMPORT_JOB } from '#adapters/imports/import-job.js';
import { ImportStates } from '#adapters/imports/import-states.service.js';
import { INGEST_JOB, type IngestJob } from '#adapters/intake/ingest-job.js';
import { VersionStates } from '#adapters/registry/version-states.service.js';
import { RevalidationStates } from '#adapters/revalidation/revalidation-states.service.js';
import {
  JOB_STATES,
  type JobList,
  type JobQuery,
  type JobQueueResource,
  type JobResource,
  type JobWithLogs,
} from '#contracts/jobs-api.js';
import type { List } from '#contracts/resource.js';
import { AppError } from '#runtime/app-error.js';
import { AuditLog } from '#stores/audit/audit-log.service.js';
import { redact } from '#stores/audit/redact.js';
import { type JobInspector, type JobState, type JobView, type Queues } from '#stores/queue/job-queue.js';
import { QUEUES } from '#stores/stores.module.js';
import { DataSource } from 'typeorm';

const KINDS = [INGEST_JOB, IMPORT_JOB];
const LOG_LINES = 200;
const CANCELLED = 'Cancelled by an operator.';

/** Background jobs as an operator sees and steers them. */
@Injectable()
export class JobsService implements OnApplicationShutdown {
  readonly #inspector: JobInspector;

  constructor(
    @Inject(QUEUES) queues: Queues,
    private readonly versions: VersionStates,
    private readonly revalidations: RevalidationStates,
    private readonly imports: ImportStates,
    private readonly database: DataSource,
  ) {
    this.#inspector = queues.inspector(KINDS);
  }

  async onApplicationShutdown(): Promise<void> {
    await this.#inspector.close();
  }

  async queues(): Promise<List<JobQueueResource>> {
    const data = await Promise.all(
      KINDS.map(async (kind) => ({
        id: kind,
        object: 'job_queue' as const,
        counts: await this.#inspector.counts(kind),
      })),
    );
    return { object: 'list', data, has_more: false, last_id: data.at(-1)?.id ?? null };
  }

  /** `after` is a position: jobs change their places all the time, and ended ones go. */
  async list(queue: string, { state, limit, after = '0' }: JobQuery): Promise<JobList> {
    requireKind(queue);
    const asked = state?.split(',');
    const states = JOB_STATES.filter((each) => asked === undefined || asked.includes(each));
    const offset = Number(after);
    const { jobs, total } = await this.#inspector.list(queue, states, { offset, limit });
    const end = offset + limit;
    const last_id = jobs.length === 0 ? null : String(Math.min(end, total));
    return { object: 'list', data: jobs.map(jobResource), has_more: end < total, last_id, total };
  }

  async get(queue: string, id: string): Promise<JobWithLogs> {
    const job = await this.#find(queue, id);
    return { ...jobResource(job), logs: [...(await this.#inspector.logs(queue, id, LOG_LINES))] };
  }

  /** Runs a failed job again; a version that was given up is validated anew. */
  async retry(queue: string, id: string): Promise<JobResource> {
    const job = await this.#find(queue, id);
    requireState(job, ['failed'], 'Only a failed job can be retried');
    await this.#audited('job.retry', job, async () => {
      if (queue === INGEST_JOB) await this.#reopen(job.data as IngestJob);
      await this.#inspector.retry(queue, id);
    });
    return jobResource((await this.#inspector.get(queue, id)) ?? { ...job, state: 'waiting' });
  }

  /** Ends a job that has not ended; what it was for is given up. */
  async cancel(queue: string, id: string): Promise<JobResource> {
    const job = await this.#find(queue, id);
    requireState(job, ['active', 'waiting', 'delayed'], 'The job has ended already');
    await this.#audited('job.cancel', job, async () => {
      // A worker that runs it finds the version settled, and ends.
      if (queue === INGEST_JOB) await this.#giveUp(job.data as IngestJob);
      else await this.imports.fail(id, CANCELLED);
      await this.#inspector.remove(queue, id);
    });
    return { ...jobResource(job), state: 'failed', failure: CANCELLED };
  }

  async #reopen({ versionId, baseDigest }: IngestJob): Promise<void> {
    if (baseDigest === undefined) await this.versions.reopen(versionId);
    else await this.revalidations.reopen({ versionId, baseDigest });
  }

  async #giveUp({ versionId, baseDigest }: IngestJob): Promise<void> {
    if (baseDigest === undefined) await this.versions.giveUp(versionId, CANCELLED);
    else await this.revalidations.giveUp({ versionId, baseDigest }, CANCELLED);
  }

  async #find(queue: string, id: string): Promise<JobView> {
    requireKind(queue);
    const job = await this.#inspector.get(queue, id);
    if (!job)
      throw new AppError('not_found', { message: 'There is no such job; ended ones go after a while.' });
    return job;
  }

  /** The entry is taken back when the deed fails. */
  async #audited(action: string, { kind, id, state }: JobView, deed: () => Promise<void>): Promise<void> {
    await this.database.transaction(async (manager) => {
      await AuditLog.record(manager, {
        action,
        subject: { type: 'job', id: `${kind}:${id}` },
        before: { queue: kind, state },
      });
      await deed();
    });
  }
}

function requireKind(kind: string): void {
  if (!KINDS.includes(kind))
    throw new AppError('not_found', { message: `There is no such queue; there are: ${KINDS.join(', ')}.` });
}

function requireState(job: JobView, states: readonly JobState[], why: string): void {
  if (!states.includes(job.state))
    throw new AppError('conflict', { message: `${why}; this one is ${job.state}.` });
}

function jobResource(job: JobView): JobResource {
  return {
    id: job.id,
    object: 'job',
    queue: job.kind,
    state: job.state,
    data: redact(job.data),
    progress: job.progress ?? null,
    attempts: job.attempts,
    failure: job.failure ?? null,
    created_at: job.createdAt.toISOString(),
    due_at: job.dueAt?.toISOString() ?? null,
    started_at: job.startedAt?.toISOString() ?? null,
    ended_at: job.endedAt?.toISOString() ?? null,
  };
}
