import { Injectable } from '@nestjs/common';
import { OutboundHttp } from '#runtime/outbound/outbound-http.js';
import { AuditLog } from '#stores/audit/audit-log.service.js';
import { DataSource, type EntityManager } from 'typeorm';
import { JobReports, hasEnded, lockJob } from '../fine-tuning/job-reports.js';
import type { Lease } from '../leases/lease-rules.js';
import { SecretBox } from '../secrets/secret-box.js';
import { openSecrets } from '../secrets/signing-secret.js';
import { signHeaders } from '../signatures.js';
import { Trainer } from '../trainers/trainer.entity.js';
import { healthAfter } from './endpoint-health.js';
import { nextTry_s } from './retry-schedule.js';
import { WebhookAttempt } from './webhook-attempt.entity.js';
import { WebhookDelivery, webhookIdOf } from './webhook-delivery.entity.js';
import { WebhookEndpoint } from './webhook-endpoint.entity.js';
import { auditOf, endpointResource } from './webhook-endpoints.service.js';
import { type SendOutcome, sendWebhook } from './webhook-sender.js';

export interface SendingRules {
  readonly schedule_s: readonly number[];
  readonly timeout_ms: number;
}

type Target = WebhookEndpoint | Trainer;

const GONE = 410;

/** One attempt to deliver a webhook, and what follows from how it went. */
@Injectable()
export class WebhookRun {
  constructor(
    private readonly database: DataSource,
    private readonly box: SecretBox,
    private readonly http: OutboundHttp,
    private readonly reports: JobReports,
  ) {}

  async attempt({ id, leaseId }: Lease, rules: SendingRules, signal: AbortSignal): Promise<void> {
    const delivery = await this.database.manager.findOne(WebhookDelivery, { where: { id, leaseId } });
    if (!delivery) return; // deleted, or asked for anew, since it was claimed
    const target = await this.#target(delivery);
    const blocked = !target
      ? 'The receiver is gone.'
      : isDisabled(target)
        ? 'The endpoint is disabled.'
        : undefined;
    if (!target || blocked !== undefined) {
      await this.#giveUp(delivery, blocked ?? '');
      return;
    }
    const outcome = await this.#send(delivery, target, rules.timeout_ms, signal);
    await this.database.transaction((manager) => this.#settle(manager, delivery, outcome, rules));
  }

  async #target({ targetKind, targetId }: WebhookDelivery): Promise<Target | null> {
    const { manager } = this.database;
    const where = { id: targetId };
    return targetKind === 'trainer'
      ? manager.findOne(Trainer, { where })
      : manager.findOne(WebhookEndpoint, { where });
  }

  #send(
    delivery: WebhookDelivery,
    target: Target,
    timeout_ms: number,
    signal: AbortSignal,
  ): Promise<SendOutcome> {
    const now = new Date();
    const secrets = openSecrets(this.box, target.id, target.secrets, now);
    const { body } = delivery;
    const headers = signHeaders(secrets, { id: webhookIdOf(delivery.eventId), body }, now);
    return sendWebhook(this.http, { url: target.url, headers, body, timeout_ms, signal });
  }

  async #settle(
    manager: EntityManager,
    delivery: WebhookDelivery,
    outcome: SendOutcome,
    { schedule_s }: SendingRules,
  ): Promise<void> {
    const tries = delivery.tries + 1;
    const attempts = delivery.attempts + 1;
    const asked = { tries, asked_s: outcome.retryAfter_s };
    const disabled = await this.#noteHealth(manager, delivery, outcome);
    const next_s = outcome.ok || disabled ? undefined : nextTry_s(asked, schedule_s, Math.random());
    const now = new Date();
    const state = outcome.ok ? 'succeeded' : next_s === undefined ? 'failed' : 'pending';
    const written = await write(manager, delivery, {
      state,
      tries,
      attempts,
      lastStatus: outcome.status ?? null,
      lastError: outcome.error,
      dueAt: next_s === undefined ? null : new Date(now.getTime() + next_s * 1000),
      finishedAt: next_s === undefined ? now : null,
    });
    if (!written) return;
    await manager.insert(WebhookAttempt, {
      deliveryId: delivery.id,
      number: attempts,
      tenantId: delivery.tenantId,
      at: new Date(now.getTime() - outcome.duration_ms),
      duration_ms: outcome.duration_ms,
      status: outcome.status ?? null,
      error: outcome.error,
      responseExcerpt: outcome.excerpt,
    });
    if (state === 'failed') await this.#failJob(manager, delivery, outcome.error ?? '');
  }

  /** Whether the endpoint is disabled from now on. */
  async #noteHealth(
    manager: EntityManager,
    delivery: WebhookDelivery,
    outcome: SendOutcome,
  ): Promise<boolean> {
    if (delivery.targetKind === 'trainer') return outcome.status === GONE;
    const where = { id: delivery.targetId, tenantId: delivery.tenantId };
    const lock = { mode: 'pessimistic_write' as const };
    const endpoint = await manager.findOne(WebhookEndpoint, { where, lock });
    if (!endpoint) return true;
    const before = endpointResource(endpoint);
    const wasEnabled = endpoint.enabled;
    const { enabled, disabledReason, failingSince } = healthAfter(endpoint, outcome, new Date());
    Object.assign(endpoint, { enabled, disabledReason, failingSince });
    await manager.update(WebhookEndpoint, where, { enabled, disabledReason, failingSince });
    if (enabled || !wasEnabled) return !enabled;
    const actor = { type: 'system' as const, id: 'webhooks' };
    await AuditLog.record(manager, {
      ...auditOf('disable', endpoint),
      actor,
      before,
      after: endpointResource(endpoint),
    });
    return true;
  }

  async #giveUp(delivery: WebhookDelivery, error: string): Promise<void> {
    await this.database.transaction(async (manager) => {
      const now = new Date();
      const fields = { state: 'failed' as const, lastError: error, dueAt: null, finishedAt: now };
      if (await write(manager, delivery, fields)) await this.#failJob(manager, delivery, error);
    });
  }

  /** A job that its trainer never heard of will not be trained. */
  async #failJob(
    manager: EntityManager,
    { type, fineTuningJobId: id, tenantId }: WebhookDelivery,
    error: string,
  ) {
    if (type !== 'fine_tuning.job.created' || id === null) return;
    const job = await lockJob(manager, { id, tenantId });
    if (!job || hasEnded(job.status)) return;
    const message = `The job could not be handed to the trainer: ${error}`;
    await this.reports.fail(manager, job, { code: 'trainer_unreachable', message });
  }
}

function isDisabled(target: Target): boolean {
  return target instanceof WebhookEndpoint && !target.enabled;
}

/** Ends the lease with what comes next; false when somebody else has the delivery now. */
async function write(
  manager: EntityManager,
  { id, leaseId, tenantId }: WebhookDelivery,
  fields: Partial<WebhookDelivery>,
): Promise<boolean> {
  const where = { id, tenantId, leaseId: leaseId as string };
  const { affected } = await manager.update(WebhookDelivery, where, { ...fields, leaseId: null } as never);
  return affected === 1;
}
