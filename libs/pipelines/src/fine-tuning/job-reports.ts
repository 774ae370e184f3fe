import { Injectable } from '@nestjs/common';
import type { EndedData, Metrics, RunningData, SucceededData } from '#contracts/fine-tune-events.js';
import type { FineTuningStatus } from '#contracts/openai/fine-tuning.js';
import { AuditLog } from '#stores/audit/audit-log.service.js';
import { newId } from '#stores/ids.js';
import { OutboxService } from '#stores/outbox/outbox.service.js';
import type { EntityManager } from 'typeorm';
import { FineTuningEvent } from './fine-tuning-event.entity.js';
import { FineTuningJob, publicJobId } from './fine-tuning-job.entity.js';
import { jobResource } from './job-resource.js';

export const hasEnded = (status: FineTuningStatus): boolean => status !== 'queued' && status !== 'running';

/** Holds the job's row until the transaction ends: who changes a job does so one after another. */
export function lockJob(
  manager: EntityManager,
  where: Partial<Pick<FineTuningJob, 'id' | 'tenantId' | 'trainerId'>>,
): Promise<FineTuningJob | null> {
  return manager.findOne(FineTuningJob, { where, lock: { mode: 'pessimistic_write' } });
}

export interface JobEvent {
  readonly level?: FineTuningEvent['level'];
  readonly message: string;
  readonly type?: FineTuningEvent['type'];
  readonly data?: Record<string, unknown>;
}

export async function addEvent(
  manager: EntityManager,
  { id: jobId, tenantId }: FineTuningJob,
  event: JobEvent,
): Promise<void> {
  const row = { level: 'info' as const, type: 'message' as const, data: {}, ...event };
  await manager.insert(FineTuningEvent, {
    id: newId(),
    jobId,
    tenantId,
    createdAt: new Date(),
    ...row,
  } as never);
}

export interface Ending {
  readonly status: 'succeeded' | 'failed' | 'cancelled';
  readonly message: string;
  readonly version?: number;
  readonly error?: FineTuningJob['error'];
}

const VERBS = { succeeded: 'succeed', failed: 'fail', cancelled: 'cancel' } as const;

/** What changes a job after it was made. Each call is part of the transaction of `manager`; the job's row is locked. */
@Injectable()
export class JobReports {
  constructor(private readonly outbox: OutboxService) {}

  /** The trainer works on it. */
  async running(manager: EntityManager, job: FineTuningJob, report: RunningData): Promise<void> {
    const progress = report.progress ?? job.progress;
    await change(manager, job, {
      status: 'running',
      progress,
      ...figures(report),
      ...(report.estimated_finish_at === undefined
        ? {}
        : { estimatedFinish: new Date(report.estimated_finish_at) }),
    });
    const percent = progress === null ? '' : ` (${Math.round(progress * 100)} %)`;
    await addEvent(manager, job, {
      message: report.message ?? `Training${percent}`,
      type: report.metrics === undefined ? 'message' : 'metrics',
      data: { ...report.metrics, ...(report.progress === undefined ? {} : { progress: report.progress }) },
    });
  }

  /** Training is done; the adapter is fetched and validated next. */
  async trained(manager: EntityManager, job: FineTuningJob, report: SucceededData): Promise<void> {
    await change(manager, job, { status: 'running', progress: 1, ...figures(report) });
    const message = 'Training is done; the adapter is being imported';
    await addEvent(manager, job, { message, data: { ...report.metrics } });
  }

  /** The trainer gave up, or was told to. */
  async stopped(
    manager: EntityManager,
    job: FineTuningJob,
    status: 'failed' | 'cancelled',
    report: EndedData,
  ): Promise<void> {
    if (status === 'cancelled') {
      await this.end(manager, job, { status, message: report.message ?? 'The trainer cancelled the job' });
    } else {
      const message = report.error?.message ?? report.message ?? 'The trainer gave no reason';
      await this.fail(manager, job, { code: report.error?.code ?? 'training_failed', message });
    }
  }

  async succeed(manager: EntityManager, job: FineTuningJob, version: number): Promise<void> {
    await this.end(manager, job, {
      status: 'succeeded',
      version,
      message: `${job.adapter}@${version} is ready`,
    });
  }

  async fail(
    manager: EntityManager,
    job: FineTuningJob,
    error: { code: string; message: string },
  ): Promise<void> {
    const { message } = error;
    await this.end(manager, job, { status: 'failed', error: { ...error, param: null }, message });
  }

  async end(manager: EntityManager, job: FineTuningJob, { message, ...ending }: Ending): Promise<void> {
    const before = { status: job.status };
    await change(manager, job, { ...ending, finishedAt: new Date() });
    await addEvent(manager, job, { level: ending.status === 'failed' ? 'error' : 'info', message });
    const { tenantId, status, version, error } = job;
    await AuditLog.record(manager, {
      tenantId,
      action: `fine_tuning_job.${VERBS[ending.status]}`,
      subject: { type: 'fine_tuning.job', id: publicJobId(job.id) },
      before,
      after: { status, version, error },
    });
    const type = `fine_tuning.job.${ending.status}` as const;
    await this.outbox.add(manager, { tenantId, type, payload: jobResource(job, undefined) });
  }
}

function figures(report: { metrics?: Metrics | undefined; trained_tokens?: number | undefined }) {
  return {
    ...(report.metrics === undefined ? {} : { metrics: report.metrics }),
    ...(report.trained_tokens === undefined ? {} : { trainedTokens: String(report.trained_tokens) }),
  };
}

async function change(
  manager: EntityManager,
  job: FineTuningJob,
  fields: Partial<FineTuningJob>,
): Promise<void> {
  Object.assign(job, fields);
  await manager.update(FineTuningJob, { id: job.id, tenantId: job.tenantId }, fields as never);
}
