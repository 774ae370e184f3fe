import { Inject, Injectable } from '@nestjs/common';
import type { SucceededData } from '#contracts/fine-tune-events.js';
import type { EvaluationSetResource } from '#contracts/evaluation-sets-api.js';
import type { PromotePolicy, Promotion } from '#contracts/promotion.js';
import { AppError } from '#runtime/app-error.js';
import type { Logger } from '#runtime/logger.js';
import { newId } from '#stores/ids.js';
import { DataSource, type EntityManager } from 'typeorm';
import { readSet } from '../evaluations/evaluation-sets.service.js';
import { hasEnded, JobReports, lockJob } from '../fine-tuning/job-reports.js';
import type { Lease } from '../leases/lease-rules.js';
import { mayPass } from '../leases/passing-fault.js';
import { PIPELINES_LOGGER } from '../settings.js';
import { evaluate } from './evaluate.js';
import { Hook } from './hook.entity.js';
import { HookDelivery } from './hook-delivery.entity.js';
import { PipelinePorts, type VersionAddress } from './pipeline-ports.js';

/** Should no notice of the version come, it is looked at again after this long. */
const LOOK_AGAIN_MS = 2_000;
const AWAY_PAUSE_MS = 2_000;
const MAX_FAULTS = 5;
const FAULT_PAUSE_MS = 1_000;

/** What a step makes of a delivery; it is done when `state` is a last one. */
type Step = Partial<
  Pick<HookDelivery, 'state' | 'versionId' | 'version' | 'promotion' | 'reason' | 'faults' | 'dueAt'>
>;

/**
 * From an announced artifact to a version, and to an alias where the hook says so:
 * `accepted -> importing -> validating -> promoting -> succeeded`. Each call takes one step, which a crash repeats.
 */
@Injectable()
export class PipelineRun {
  constructor(
    private readonly database: DataSource,
    private readonly ports: PipelinePorts,
    private readonly reports: JobReports,
    @Inject(PIPELINES_LOGGER) private readonly logger: Logger,
  ) {}

  async step({ id, leaseId }: Lease, signal: AbortSignal): Promise<void> {
    const row = await this.database.manager.findOne(HookDelivery, { where: { id, leaseId } });
    if (!row) return; // deleted since it was claimed
    const next = await this.#next(row, signal).catch((error: unknown) => {
      signal.throwIfAborted();
      return this.#afterFault(row, error);
    });
    await this.database.transaction((manager) => this.#write(manager, row, next));
  }

  /** Makes due now whatever waits for that version; false when nothing does. */
  async hasten(versionId: string): Promise<boolean> {
    const { affected } = await this.database
      .createQueryBuilder()
      .update(HookDelivery)
      .set({ dueAt: new Date() })
      .where('version_id = :versionId AND due_at IS NOT NULL AND lease_id IS NULL', { versionId })
      .execute();
    return (affected ?? 0) > 0;
  }

  async #next(row: HookDelivery, signal: AbortSignal): Promise<Step> {
    switch (row.state) {
      case 'accepted':
        return { state: 'importing', versionId: newId(), dueAt: new Date() };
      case 'importing':
        return this.#import(row);
      case 'validating':
        return this.#await(row);
      case 'promoting':
        return this.#promote(row, signal);
      default:
        return {}; // is done already
    }
  }

  async #import(row: HookDelivery): Promise<Step> {
    const data = row.data as unknown as SucceededData;
    const { artifact, sha256, job_id: training_job, metrics, description, labels, parents } = data;
    const { version } = await this.ports.importArtifact({
      versionId: row.versionId as string,
      tenantId: row.tenantId,
      adapter: row.adapter as string,
      artifact,
      sha256,
      facts: { training_job, metrics, description, labels, parents },
      hookId: row.sourceId,
    });
    return { state: 'validating', version, dueAt: new Date() };
  }

  async #await(row: HookDelivery): Promise<Step> {
    const outcome = await this.ports.outcomeOf(addressOf(row));
    if (outcome.state === 'waiting') return { dueAt: new Date(Date.now() + LOOK_AGAIN_MS) };
    if (outcome.state === 'lost') return { state: 'failed', reason: outcome.reason };
    const policy = await this.#policy(row);
    return policy ? { state: 'promoting', dueAt: new Date() } : { state: 'succeeded' };
  }

  async #promote(row: HookDelivery, signal: AbortSignal): Promise<Step> {
    const policy = await this.#policy(row);
    if (!policy) return { state: 'succeeded' }; // the hook was deleted meanwhile
    const address = addressOf(row);
    const set = await this.#set(row.tenantId, policy);
    const prompts = set?.prompts ?? policy.evaluate?.prompts ?? [];
    const evaluation = policy.evaluate
      ? await evaluate(this.ports, address, { ...policy.evaluate, prompts }, signal)
      : undefined;
    const verdict = evaluation?.verdict;
    const refusal =
      verdict?.holds === false
        ? verdict.reason
        : await this.ports.promote({ address, alias: policy.alias, hookId: row.sourceId });
    const done = verdict?.reason ?? 'The hook promotes every version that is ready.';
    const promotion: Promotion = {
      alias: policy.alias,
      promoted: refusal === undefined,
      reason: refusal ?? done,
      score: verdict?.score ?? null,
      min_score: policy.evaluate?.min_score ?? null,
      evaluation_set: set ? { name: set.name, revision: set.revision, digest: set.digest } : null,
      results: evaluation?.results ?? [],
      decided_at: new Date().toISOString(),
    };
    return { state: 'succeeded', promotion };
  }

  /** The prompts that the policy names, as they are now. */
  async #set(
    tenantId: string,
    { evaluate: policy }: PromotePolicy,
  ): Promise<EvaluationSetResource | undefined> {
    return policy?.set === undefined ? undefined : readSet(this.database.manager, tenantId, policy.set);
  }

  async #policy({ sourceId: id, tenantId }: HookDelivery): Promise<PromotePolicy | undefined> {
    const hook = await this.database.manager.findOne(Hook, { where: { id, tenantId } });
    return hook?.promote ?? undefined;
  }

  #afterFault(row: HookDelivery, error: unknown): Step {
    if (mayPass(error)) return { dueAt: new Date(Date.now() + AWAY_PAUSE_MS) };
    if (error instanceof AppError && error.code !== 'internal_error')
      return { state: 'failed', reason: error.message };
    this.logger.error({ err: error, delivery: row.id, state: row.state }, 'a step of a pipeline failed');
    const faults = row.faults + 1;
    if (faults >= MAX_FAULTS)
      return { state: 'failed', faults, reason: 'It could not be finished; the log says why.' };
    return { faults, dueAt: new Date(Date.now() + FAULT_PAUSE_MS * 2 ** faults) };
  }

  /** Ends the lease with what comes next, and the job with the delivery. */
  async #write(manager: EntityManager, row: HookDelivery, step: Step): Promise<void> {
    const { id, tenantId, leaseId } = row;
    const state = step.state ?? row.state;
    const done = state === 'succeeded' || state === 'failed';
    const fields = { dueAt: null, ...step, leaseId: null, ...(done ? { finishedAt: new Date() } : {}) };
    const where = { id, tenantId, leaseId: leaseId as string };
    const { affected } = await manager.update(HookDelivery, where, fields as never);
    if (affected !== 1 || !done) return;
    this.logger.info({ delivery: id, state, version: row.version }, 'a pipeline has ended');
    await this.#endJob(manager, { ...row, ...step, state });
  }

  async #endJob(manager: EntityManager, row: HookDelivery): Promise<void> {
    if (row.fineTuningJobId === null) return;
    const job = await lockJob(manager, { id: row.fineTuningJobId, tenantId: row.tenantId });
    if (!job || hasEnded(job.status)) return;
    if (row.state === 'succeeded' && row.version !== null) {
      await this.reports.succeed(manager, job, row.version);
    } else {
      const message = row.reason ?? 'The adapter could not be imported.';
      await this.reports.fail(manager, job, { code: 'adapter_rejected', message });
    }
  }
}

function addressOf({ tenantId, adapter, version }: HookDelivery): VersionAddress {
  if (adapter === null || version === null) throw new Error('a delivery beyond its import has a version');
  return { tenantId, adapter, version };
}
