import { Injectable } from '@nestjs/common';
import type {
  BatchList,
  BatchQuery,
  BatchResource,
  BatchStatus,
  CreateBatch,
} from '#contracts/openai/batches.js';
import { AppError } from '#runtime/app-error.js';
import { AuditLog } from '#stores/audit/audit-log.service.js';
import { newId } from '#stores/ids.js';
import { Notifications } from '#stores/postgres/notifications.js';
import { DataSource, type EntityManager, LessThan } from 'typeorm';
import { Batch } from './batch.entity.js';
import { batchIdBehind, batchResource } from './batch-resource.js';
import { BATCHES_CHANNEL } from './batches-channel.js';
import { findFile } from './files/files.service.js';

const COMPLETION_WINDOW_MS = 24 * 3600_000;
const CANCELLABLE: ReadonlySet<BatchStatus> = new Set(['validating', 'in_progress']);

/** For whom a batch is made. */
export interface BatchOwner {
  readonly tenantId: string;
  readonly keyId: string;
}

/** Batches as their tenants see them; workers carry them out. */
@Injectable()
export class BatchesService {
  constructor(private readonly database: DataSource) {}

  async create({ tenantId, keyId }: BatchOwner, request: CreateBatch): Promise<BatchResource> {
    return this.database.transaction(async (manager) => {
      const file = await findFile(manager, { tenantId, fileId: request.input_file_id, lock: true });
      if (!file)
        throw new AppError('not_found', { message: 'There is no such file.', param: 'input_file_id' });
      if (file.purpose !== 'batch') {
        const message = `input_file_id: expected a file with the purpose batch, got ${file.purpose}`;
        throw new AppError('invalid_request', { message, param: 'input_file_id' });
      }
      const batch = newBatch({ tenantId, keyId, inputFileId: file.id }, request);
      await manager.insert(Batch, batch as never);
      const after = batchResource(batch);
      const subject = { type: 'batch', id: after.id };
      await AuditLog.record(manager, { tenantId, action: 'batch.create', subject, after });
      await Notifications.publish(manager, BATCHES_CHANNEL, batch.id);
      return after;
    });
  }

  /** Newest first. */
  async list(tenantId: string, { limit, after }: BatchQuery): Promise<BatchList> {
    const id = after === undefined ? undefined : batchIdBehind(after);
    if (after !== undefined && id === undefined)
      throw new AppError('invalid_request', { message: '`after` is no id of this list.', param: 'after' });
    const rows = await this.database.getRepository(Batch).find({
      where: { tenantId, ...(id === undefined ? {} : { id: LessThan(id) }) },
      order: { id: 'DESC' },
      take: limit + 1,
    });
    const data = rows.slice(0, limit).map(batchResource);
    const [first_id, last_id] = [data.at(0)?.id ?? null, data.at(-1)?.id ?? null];
    return { object: 'list', data, has_more: rows.length > limit, first_id, last_id };
  }

  async get(tenantId: string, batchId: string): Promise<BatchResource> {
    return batchResource(await findBatch(this.database.manager, { tenantId, batchId }));
  }

  /** A worker ends it: what it has done by then is kept. */
  async cancel(tenantId: string, batchId: string): Promise<BatchResource> {
    return this.database.transaction(async (manager) => {
      const batch = await findBatch(manager, { tenantId, batchId, lock: true });
      if (batch.status === 'cancelling') return batchResource(batch);
      if (!CANCELLABLE.has(batch.status))
        throw new AppError('conflict', { message: `The batch is ${batch.status} already.` });
      const before = batchResource(batch);
      const change = { status: 'cancelling' as const, cancellingAt: new Date() };
      await manager.update(Batch, { id: batch.id, tenantId }, change);
      const after = batchResource({ ...batch, ...change });
      const subject = { type: 'batch', id: batchId };
      await AuditLog.record(manager, { tenantId, action: 'batch.cancel', subject, before, after });
      await Notifications.publish(manager, BATCHES_CHANNEL, batch.id);
      return after;
    });
  }

  /** Deletes batches that ended before; returns how many. */
  async prune(before: Date): Promise<number> {
    const [, gone] = await this.database.query<[unknown, number]>(
      `DELETE FROM batches WHERE due_at IS NULL
         AND coalesce(completed_at, failed_at, expired_at, cancelled_at) < $1`,
      [before],
    );
    return gone;
  }
}

interface BatchWhere {
  readonly tenantId: string;
  readonly batchId: string;
  readonly lock?: boolean;
}

async function findBatch(
  manager: EntityManager,
  { tenantId, batchId, lock = false }: BatchWhere,
): Promise<Batch> {
  const id = batchIdBehind(batchId);
  const options = lock ? { lock: { mode: 'pessimistic_write' as const } } : {};
  const row = id && (await manager.findOne(Batch, { where: { id, tenantId }, ...options }));
  if (!row) throw new AppError('not_found', { message: 'There is no such batch.' });
  return row;
}

function newBatch(owner: BatchOwner & { inputFileId: string }, request: CreateBatch): Batch {
  const createdAt = new Date();
  return Object.assign(new Batch(), {
    id: newId(createdAt.getTime()),
    ...owner,
    endpoint: request.endpoint,
    status: 'validating' as const,
    errors: null,
    metadata: request.metadata ?? null,
    model: null,
    outputFileId: null,
    errorFileId: null,
    outputExpiresAfter_s: request.output_expires_after?.seconds ?? null,
    total: 0,
    completed: 0,
    failed: 0,
    inputTokens: 0,
    cachedTokens: 0,
    outputTokens: 0,
    reasoningTokens: 0,
    createdAt,
    expiresAt: new Date(createdAt.getTime() + COMPLETION_WINDOW_MS),
    inProgressAt: null,
    finalizingAt: null,
    completedAt: null,
    failedAt: null,
    expiredAt: null,
    cancellingAt: null,
    cancelledAt: null,
    dueAt: createdAt,
    leaseId: null,
  });
}
