import { Injectable } from '@nestjs/common';
import type { RotateSecret } from '#contracts/hooks-api.js';
import { type List, listPage, type PageQuery } from '#contracts/resource.js';
import type { CreatedTrainer, CreateTrainer, TrainerResource } from '#contracts/trainers-api.js';
import { AppError } from '#runtime/app-error.js';
import { OutboundHttp } from '#runtime/outbound/outbound-http.js';
import { AuditLog } from '#stores/audit/audit-log.service.js';
import { isId, newId } from '#stores/ids.js';
import { isUniqueViolation } from '#stores/postgres/database-error.js';
import { DataSource, type EntityManager, In, IsNull, LessThan } from 'typeorm';
import { FineTuningJob } from '../fine-tuning/fine-tuning-job.entity.js';
import { hookUrl } from '../hooks/hooks.service.js';
import { rotate } from '../secrets/rotation.js';
import { SecretBox } from '../secrets/secret-box.js';
import { makeSecret, newSecrets, overlapEnd } from '../secrets/signing-secret.js';
import { checkTarget } from '../webhooks/webhook-endpoints.service.js';
import { WebhookDelivery } from '../webhooks/webhook-delivery.entity.js';
import { Trainer } from './trainer.entity.js';

/** Who calls, and whether with an operator's key. */
export interface TrainerCaller {
  readonly tenantId: string;
  readonly operator: boolean;
}

/** `baseUrl` everywhere: where callers reach the API. */
@Injectable()
export class TrainersService {
  constructor(
    private readonly database: DataSource,
    private readonly box: SecretBox,
    private readonly http: OutboundHttp,
  ) {}

  async create(caller: TrainerCaller, body: CreateTrainer, baseUrl: string): Promise<CreatedTrainer> {
    if (body.shared && !caller.operator)
      throw new AppError('insufficient_scope', {
        message: 'Only an operator key makes a shared trainer.',
        param: 'shared',
      });
    checkTarget(this.http, body.url);
    const id = newId();
    const secret = makeSecret();
    const trainer = Object.assign(new Trainer(), {
      id,
      tenantId: body.shared ? null : caller.tenantId,
      name: body.name,
      url: body.url,
      secrets: newSecrets(this.box, id, secret),
      createdAt: new Date(),
    });
    try {
      return await this.database.transaction(async (manager) => {
        await manager.insert(Trainer, trainer);
        const resource = toResource(trainer, caller, baseUrl);
        await AuditLog.record(manager, { ...auditOf('create', trainer), after: resource });
        return { ...resource, secret };
      });
    } catch (error) {
      const constraint = body.shared ? 'trainers_shared_name_key' : 'trainers_tenant_id_name_key';
      if (!isUniqueViolation(error, constraint)) throw error;
      throw new AppError('already_exists', {
        message: `There is a trainer ${body.name} already.`,
        param: 'name',
      });
    }
  }

  /** The tenant's own and the shared ones. */
  async list(
    caller: TrainerCaller,
    { limit, after }: PageQuery,
    baseUrl: string,
  ): Promise<List<TrainerResource>> {
    if (after !== undefined && !isId(after))
      throw new AppError('invalid_request', { message: '`after` is no id of this list.', param: 'after' });
    const page = after === undefined ? {} : { id: LessThan(after) };
    const rows = await this.database.getRepository(Trainer).find({
      where: [
        { tenantId: caller.tenantId, ...page },
        { tenantId: IsNull(), ...page },
      ],
      order: { id: 'DESC' },
      take: limit + 1,
    });
    return listPage(
      rows.map((row) => toResource(row, caller, baseUrl)),
      limit,
    );
  }

  async get(caller: TrainerCaller, id: string, baseUrl: string): Promise<TrainerResource> {
    const where = [
      { id, tenantId: caller.tenantId },
      { id, tenantId: IsNull() },
    ];
    const row = isId(id) ? await this.database.getRepository(Trainer).findOne({ where }) : null;
    if (!row) throw noTrainer();
    return toResource(row, caller, baseUrl);
  }

  async rotate(
    caller: TrainerCaller,
    id: string,
    body: RotateSecret,
    baseUrl: string,
  ): Promise<CreatedTrainer> {
    return this.database.transaction(async (manager) => {
      const trainer = await lockOwn(manager, caller, id);
      const turn = { owner: id, secrets: trainer.secrets, overlap_s: body.overlap_seconds };
      const { secret, columns } = rotate(this.box, turn, new Date());
      await manager.update(Trainer, { id }, { secrets: columns });
      const resource = toResource({ ...trainer, secrets: columns }, caller, baseUrl);
      await AuditLog.record(manager, { ...auditOf('rotate', trainer), after: resource });
      return { ...resource, secret };
    });
  }

  /** Refused while it has jobs that have not ended: nobody else could report on them. */
  async remove(caller: TrainerCaller, id: string, baseUrl: string): Promise<void> {
    await this.database.transaction(async (manager) => {
      const trainer = await lockOwn(manager, caller, id);
      const open = await manager.count(FineTuningJob, {
        where: { trainerId: id, status: In(['queued', 'running']) },
      });
      if (open > 0)
        throw new AppError('conflict', {
          message: `The trainer has ${open} jobs that have not ended; cancel them first.`,
        });
      await manager.delete(WebhookDelivery, { targetId: id });
      await manager.delete(Trainer, { id });
      await AuditLog.record(manager, {
        ...auditOf('delete', trainer),
        before: toResource(trainer, caller, baseUrl),
      });
    });
  }

  /** The trainer for a new job: the one named, else the only one; the tenant's own come before shared ones. */
  async choose(manager: EntityManager, tenantId: string, name: string | undefined): Promise<Trainer> {
    const named = name === undefined ? {} : { name };
    const own = await manager.find(Trainer, { where: { tenantId, ...named }, take: 2 });
    const shared = await manager.find(Trainer, { where: { tenantId: IsNull(), ...named }, take: 2 });
    const candidates = own.length > 0 ? own : shared;
    const [trainer, another] = candidates;
    if (!trainer)
      throw new AppError('invalid_request', {
        message:
          name === undefined
            ? 'No trainer is registered: POST /v1/trainers.'
            : `There is no trainer ${name}.`,
        param: 'trainer',
      });
    if (another)
      throw new AppError('invalid_request', {
        message: 'Several trainers are registered; name one.',
        param: 'trainer',
      });
    return trainer;
  }
}

/** For changing it: a tenant its own, an operator also the shared ones. */
async function lockOwn(
  manager: EntityManager,
  { tenantId, operator }: TrainerCaller,
  id: string,
): Promise<Trainer> {
  const mine = { id, tenantId };
  const where = operator ? [mine, { id, tenantId: IsNull() }] : mine;
  const lock = { mode: 'pessimistic_write' as const };
  const row = isId(id) ? await manager.findOne(Trainer, { where, lock }) : null;
  if (row) return row;
  const isShared = isId(id) && (await manager.existsBy(Trainer, { id, tenantId: IsNull() }));
  if (isShared)
    throw new AppError('insufficient_scope', {
      message: 'The trainer is shared: only an operator key changes it.',
    });
  throw noTrainer();
}

function noTrainer(): AppError {
  return new AppError('not_found', { message: 'There is no such trainer.' });
}

function auditOf(verb: 'create' | 'rotate' | 'delete', { id, tenantId }: Trainer) {
  return {
    ...(tenantId === null ? {} : { tenantId }),
    action: `trainer.${verb}`,
    subject: { type: 'trainer', id },
  };
}

function toResource(row: Trainer, { operator }: TrainerCaller, baseUrl: string): TrainerResource {
  const shared = row.tenantId === null;
  return {
    id: row.id,
    object: 'trainer',
    name: row.name,
    url: shared && !operator ? null : row.url,
    report_url: hookUrl(baseUrl, row.id),
    shared,
    previous_secret_expires_at: overlapEnd(row.secrets, new Date()),
    created_at: row.createdAt.toISOString(),
  };
}
