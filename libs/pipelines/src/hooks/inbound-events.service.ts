import { Injectable } from '@nestjs/common';
import type { EndedData, RunningData, SucceededData } from '#contracts/fine-tune-events.js';
import type { HookDelivery as HookDeliveryResource } from '#contracts/hooks-api.js';
import { AppError } from '#runtime/app-error.js';
import { isId, newId } from '#stores/ids.js';
import { Notifications } from '#stores/postgres/notifications.js';
import { DataSource, type EntityManager, Not } from 'typeorm';
import { type FineTuningJob, jobIdOf } from '../fine-tuning/fine-tuning-job.entity.js';
import { hasEnded, JobReports, lockJob } from '../fine-tuning/job-reports.js';
import { SecretBox } from '../secrets/secret-box.js';
import { makeSecret, openSecrets } from '../secrets/signing-secret.js';
import { isSigned, type SignatureHeaders } from '../signatures.js';
import { Trainer } from '../trainers/trainer.entity.js';
import { Hook } from './hook.entity.js';
import { HookDelivery } from './hook-delivery.entity.js';
import { deliveryResource } from './hook-deliveries.service.js';
import { adapterOf, type EventSubject, type InboundMessage } from './inbound-rules.js';

/** `webhook-id`, `webhook-timestamp` and `webhook-signature`. */
const SIGNATURE_HEADERS = 3;

/** Wakes the worker: events wait to be worked on. */
export const HOOKS_CHANNEL = 'lorikeet_hooks';

/** Whoever signed a message: a tenant's hook, or a trainer. */
export type Sender =
  | { readonly kind: 'hook'; readonly id: string; readonly hook: Hook }
  | { readonly kind: 'trainer'; readonly id: string };

/** What an event means for us, before it is written. */
type Decision = Pick<HookDelivery, 'tenantId' | 'state' | 'adapter' | 'reason' | 'fineTuningJobId'>;

/** Takes events in: each is written once with all that it changes at once; what takes time is left to the worker. */
@Injectable()
export class InboundEvents {
  /** Checked where there is no such hook, so that the answer takes as long. */
  readonly #nobodysSecret = makeSecret();

  constructor(
    private readonly database: DataSource,
    private readonly box: SecretBox,
    private readonly reports: JobReports,
  ) {}

  /** Throws invalid_signature for what cannot be a message, before its body is read. */
  async expect(id: string, headers: Partial<SignatureHeaders>): Promise<void> {
    const complete = Object.values(headers).length === SIGNATURE_HEADERS;
    if (!complete || !isId(id) || !(await this.#find(id))) throw new AppError('invalid_signature');
  }

  /** Who signed the message. Says the same of a wrong signature as of a hook that is not there. */
  async authenticate(id: string, headers: Partial<SignatureHeaders>, body: Buffer): Promise<Sender> {
    const found = isId(id) ? await this.#find(id) : undefined;
    const secrets = found
      ? openSecrets(this.box, id, found.row.secrets, new Date())
      : ([this.#nobodysSecret] as const);
    const signed = isSigned(secrets, headers, body);
    if (!found || !signed) throw new AppError('invalid_signature');
    if (found.row.tenantId !== null) await this.#requireActive(found.row.tenantId);
    return found.sender;
  }

  /** The delivery of the message; a `webhook-id` that was seen before gives the same one and has no effect. */
  async accept(sender: Sender, message: InboundMessage): Promise<HookDeliveryResource> {
    const seen = await this.#seen(this.database.manager, sender.id, message);
    if (seen) return deliveryResource(seen);
    return this.database.transaction(async (manager) => {
      const decision =
        sender.kind === 'hook'
          ? forHook(sender.hook, message)
          : await this.#forTrainer(manager, sender.id, message);
      const row = newDelivery(sender.id, message, decision);
      const { raw } = await manager
        .createQueryBuilder()
        .insert()
        .into(HookDelivery)
        .values(row as never)
        .orIgnore()
        .returning('id')
        .execute();
      if ((raw as unknown[]).length === 0) {
        const other = await this.#seen(manager, sender.id, message);
        if (!other) throw new Error('a delivery that stood in the way is gone');
        return deliveryResource(other);
      }
      if (sender.kind === 'trainer' && row.state !== 'ignored') await this.#report(manager, row, message);
      if (row.dueAt) await Notifications.publish(manager, HOOKS_CHANNEL, row.id);
      return deliveryResource(row);
    });
  }

  async #find(id: string): Promise<{ sender: Sender; row: Hook | Trainer } | undefined> {
    const hook = await this.database.getRepository(Hook).findOne({ where: { id } });
    if (hook) return { sender: { kind: 'hook', id, hook }, row: hook };
    const trainer = await this.database.getRepository(Trainer).findOne({ where: { id } });
    return trainer ? { sender: { kind: 'trainer', id }, row: trainer } : undefined;
  }

  async #requireActive(tenantId: string): Promise<void> {
    const rows = await this.database.query<unknown[]>(
      "SELECT 1 FROM tenants WHERE id = $1 AND state = 'active'",
      [tenantId],
    );
    if (rows.length === 0) throw new AppError('tenant_suspended');
  }

  async #seen(
    manager: EntityManager,
    sourceId: string,
    { webhookId, bodySha256 }: InboundMessage,
  ): Promise<HookDelivery | undefined> {
    const row = await manager.findOne(HookDelivery, { where: { sourceId, webhookId } });
    if (row && row.bodySha256 !== bodySha256) {
      throw new AppError('conflict', {
        message: 'Another message was sent with this webhook-id before.',
        param: 'webhook-id',
      });
    }
    return row ?? undefined;
  }

  async #forTrainer(manager: EntityManager, trainerId: string, message: InboundMessage): Promise<Decision> {
    const { job_id = '', adapter } = message.data as EventSubject;
    const id = jobIdOf(job_id);
    const job = id && isId(id) ? await lockJob(manager, { id, trainerId }) : null;
    if (!job) {
      throw new AppError('invalid_request', {
        message: 'data.job_id: names no job that was handed to this trainer',
        param: 'data.job_id',
      });
    }
    await this.#requireActive(job.tenantId);
    if (adapter !== undefined) adapterOf({ adapter }, job.adapter);
    const base = { tenantId: job.tenantId, adapter: job.adapter, fineTuningJobId: job.id };
    const ignored = await whyIgnored(manager, job, message);
    if (ignored !== undefined) return { ...base, state: 'ignored', reason: ignored };
    const asksForWork = message.known === 'fine_tuning.job.succeeded';
    return { ...base, state: asksForWork ? 'accepted' : 'recorded', reason: null };
  }

  /** What a trainer's event says of its job. The row is locked since the decision. */
  async #report(manager: EntityManager, row: HookDelivery, { known, data }: InboundMessage): Promise<void> {
    const { fineTuningJobId, tenantId } = row;
    const job = fineTuningJobId === null ? null : await lockJob(manager, { id: fineTuningJobId, tenantId });
    if (!job) throw new Error('the job was there a moment ago');
    if (known === 'fine_tuning.job.running') await this.reports.running(manager, job, data as RunningData);
    if (known === 'fine_tuning.job.succeeded')
      await this.reports.trained(manager, job, data as unknown as SucceededData);
    if (known === 'fine_tuning.job.failed')
      await this.reports.stopped(manager, job, 'failed', data as unknown as EndedData);
    if (known === 'fine_tuning.job.cancelled')
      await this.reports.stopped(manager, job, 'cancelled', data as unknown as EndedData);
  }
}

const UNKNOWN_TYPE = 'The event type is not one that asks for anything here.';

function forHook({ tenantId, adapter }: Hook, { known, data }: InboundMessage): Decision {
  const base = { tenantId, fineTuningJobId: null, adapter: (data as EventSubject).adapter ?? adapter };
  if (known === undefined) return { ...base, adapter, state: 'ignored', reason: UNKNOWN_TYPE };
  if (known !== 'fine_tuning.job.succeeded') return { ...base, state: 'recorded', reason: null };
  const name = adapterOf(data as EventSubject, adapter ?? undefined);
  return { ...base, adapter: name, state: 'accepted', reason: null };
}

async function whyIgnored(
  manager: EntityManager,
  { id, status }: FineTuningJob,
  { known }: InboundMessage,
): Promise<string | undefined> {
  if (known === undefined) return UNKNOWN_TYPE;
  if (hasEnded(status)) return `The job is ${status} already.`;
  const where = { fineTuningJobId: id, type: 'fine_tuning.job.succeeded', state: Not('ignored' as const) };
  const announced = await manager.existsBy(HookDelivery, where);
  return announced ? 'The adapter was announced already.' : undefined;
}

function newDelivery(sourceId: string, message: InboundMessage, decision: Decision): HookDelivery {
  const now = new Date();
  const isWork = decision.state === 'accepted';
  const { job_id } = message.data as EventSubject;
  return Object.assign(new HookDelivery(), {
    id: newId(),
    sourceId,
    webhookId: message.webhookId,
    bodySha256: message.bodySha256,
    type: message.type,
    jobId: typeof job_id === 'string' ? job_id : null,
    data: message.data,
    versionId: null,
    version: null,
    promotion: null,
    faults: 0,
    leaseId: null,
    dueAt: isWork ? now : null,
    createdAt: now,
    finishedAt: isWork ? null : now,
    ...decision,
  });
}
