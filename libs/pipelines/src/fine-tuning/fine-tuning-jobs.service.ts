import { randomInt } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import type {
  CreateFineTuningJob,
  FineTuningJob as JobResource,
  FineTuningJobEventList,
  FineTuningJobList,
  FineTuningPage,
} from '#contracts/openai/fine-tuning.js';
import { listPage } from '#contracts/resource.js';
import { AppError } from '#runtime/app-error.js';
import { AuditLog } from '#stores/audit/audit-log.service.js';
import { isId, newId } from '#stores/ids.js';
import { DataSource, type EntityManager, type FindOptionsWhere, Raw } from 'typeorm';
import { hookUrl } from '../hooks/hooks.service.js';
import { pageOf } from '../page-of.js';
import type { Trainer } from '../trainers/trainer.entity.js';
import { TrainersService } from '../trainers/trainers.service.js';
import { eventBody } from '../webhooks/event-body.js';
import { WebhookDelivery } from '../webhooks/webhook-delivery.entity.js';
import { announceDue } from '../webhooks/webhooks-channel.js';
import { FineTuningEvent } from './fine-tuning-event.entity.js';
import { FineTuningJob, jobIdOf, publicJobId } from './fine-tuning-job.entity.js';
import { addEvent, hasEnded, JobReports, lockJob } from './job-reports.js';
import { eventResource, jobResource } from './job-resource.js';

/** The tenant that calls. */
export interface JobTenant {
  readonly id: string;
  readonly name: string;
}

const EVENT_PREFIX = 'ftevent-';

/** Hands trainings to external trainers and tells what they report. */
@Injectable()
export class FineTuningJobs {
  constructor(
    private readonly database: DataSource,
    private readonly trainers: TrainersService,
    private readonly reports: JobReports,
  ) {}

  /** The job and the webhook that tells the trainer of it are made together. `baseUrl`: where the trainer reports to. */
  async create(tenant: JobTenant, request: CreateFineTuningJob, baseUrl: string): Promise<JobResource> {
    return this.database.transaction(async (manager) => {
      const trainer = await this.trainers.choose(manager, tenant.id, request.trainer);
      const job = newJob(tenant.id, trainer, request);
      await manager.insert(FineTuningJob, job as never);
      await addEvent(manager, job, { message: `Handed to the trainer ${trainer.name}` });
      await tell(manager, trainer, job, 'fine_tuning.job.created', orderOf(job, tenant.name, baseUrl));
      const resource = jobResource(job, tenant.name);
      await AuditLog.record(manager, {
        tenantId: tenant.id,
        action: 'fine_tuning_job.create',
        subject: { type: 'fine_tuning.job', id: resource.id },
        after: resource,
      });
      return resource;
    });
  }

  /** `metadata`: pairs that a job must have; null: it must have none. */
  async list(
    tenant: JobTenant,
    { limit, after }: FineTuningPage,
    metadata: JobMetadata | null | undefined,
  ): Promise<FineTuningJobList> {
    const jobs = this.database.getRepository(FineTuningJob);
    const page = { limit, ...(after === undefined ? {} : { after: jobIdOf(after) ?? after }) };
    const rows = await pageOf(jobs, { tenantId: tenant.id, ...metadataIs(metadata) }, page);
    return openAiPage(
      rows.map((row) => jobResource(row, tenant.name)),
      limit,
    );
  }

  async get(tenant: JobTenant, id: string): Promise<JobResource> {
    return jobResource(await this.#find(this.database.manager, tenant.id, id), tenant.name);
  }

  /** Newest first. */
  async events(
    tenant: JobTenant,
    id: string,
    { limit, after }: FineTuningPage,
  ): Promise<FineTuningJobEventList> {
    const job = await this.#find(this.database.manager, tenant.id, id);
    const page = { limit, ...(after === undefined ? {} : { after: after.replace(EVENT_PREFIX, '') }) };
    const where = { jobId: job.id, tenantId: tenant.id };
    const rows = await pageOf(this.database.getRepository(FineTuningEvent), where, page);
    return openAiPage(rows.map(eventResource), limit);
  }

  /** Ends the job now and tells the trainer; what it reports afterwards changes nothing. */
  async cancel(tenant: JobTenant, publicId: string): Promise<JobResource> {
    return this.database.transaction(async (manager) => {
      const { id } = await this.#find(manager, tenant.id, publicId);
      const job = await lockJob(manager, { id, tenantId: tenant.id });
      if (!job) throw noJob();
      if (hasEnded(job.status))
        throw new AppError('conflict', { message: `The job is ${job.status} already.` });
      await this.reports.end(manager, job, { status: 'cancelled', message: 'Cancelled by its owner' });
      const data = { job_id: publicJobId(job.id) };
      const trainer = { id: job.trainerId };
      await tell(manager, trainer, job, 'fine_tuning.job.cancelled', data);
      return jobResource(job, tenant.name);
    });
  }

  async #find(manager: EntityManager, tenantId: string, publicId: string): Promise<FineTuningJob> {
    const id = jobIdOf(publicId);
    const job = id && isId(id) ? await manager.findOne(FineTuningJob, { where: { id, tenantId } }) : null;
    if (!job) throw noJob();
    return job;
  }
}

function noJob(): AppError {
  return new AppError('not_found', { message: 'There is no such fine-tuning job.' });
}

function newJob(tenantId: string, trainer: Trainer, request: CreateFineTuningJob): FineTuningJob {
  const id = newId();
  return Object.assign(new FineTuningJob(), {
    id,
    tenantId,
    trainerId: trainer.id,
    trainer: trainer.name,
    adapter: request.adapter ?? request.suffix ?? `ft-${id.slice(-12)}`,
    status: 'queued' as const,
    model: request.model,
    request: { ...request },
    seed: request.seed ?? randomInt(2 ** 31 - 1),
    progress: null,
    metrics: null,
    trainedTokens: null,
    estimatedFinish: null,
    version: null,
    error: null,
    createdAt: new Date(),
    finishedAt: null,
  });
}

/** What the trainer gets: everything it needs to train and to report. */
function orderOf(job: FineTuningJob, tenant: string, baseUrl: string): object {
  const { id, ...resource } = jobResource(job, tenant);
  const { model, training_file, validation_file, hyperparameters, method, metadata } = resource;
  return {
    job_id: id,
    tenant,
    model,
    adapter: job.adapter,
    training_file,
    validation_file,
    hyperparameters,
    method,
    seed: job.seed,
    metadata,
    report_url: hookUrl(baseUrl, job.trainerId),
  };
}

async function tell(
  manager: EntityManager,
  trainer: Pick<Trainer, 'id'>,
  job: FineTuningJob,
  type: string,
  data: object,
): Promise<void> {
  const createdAt = new Date();
  await manager.insert(WebhookDelivery, {
    id: newId(),
    tenantId: job.tenantId,
    targetKind: 'trainer',
    targetId: trainer.id,
    eventId: newId(),
    type,
    fineTuningJobId: job.id,
    body: eventBody({ type, createdAt, payload: data }),
    state: 'pending',
    dueAt: createdAt,
    createdAt,
  });
  await announceDue(manager);
}

function openAiPage<T extends { readonly id: string }>(rows: readonly T[], limit: number) {
  const { data, has_more, last_id } = listPage(rows, limit);
  return { object: 'list' as const, data: [...data], has_more, first_id: data[0]?.id ?? null, last_id };
}

type JobMetadata = Readonly<Record<string, string>>;

function metadataIs(metadata: JobMetadata | null | undefined): FindOptionsWhere<FineTuningJob> {
  if (metadata === undefined) return {};
  if (metadata === null)
    return { request: Raw((column) => `COALESCE(${column} -> 'metadata', 'null') IN ('null', '{}')`) };
  const wanted = JSON.stringify({ metadata });
  return { request: Raw((column) => `${column} @> CAST(:wanted AS jsonb)`, { wanted }) };
}
