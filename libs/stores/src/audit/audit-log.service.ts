import { Injectable } from '@nestjs/common';
import type { Actor, AuditEntryResource, AuditQuery, Subject } from '#contracts/audit-api.js';
import { ACTOR_TYPES } from '#contracts/audit-api.js';
import { type List, listPage } from '#contracts/resource.js';
import { AppError } from '#runtime/app-error.js';
import { currentRequest } from '#runtime/request-context.js';
import { DataSource, type EntityManager } from 'typeorm';
import { markEffect } from '../idempotency/effect-mark.js';
import { firstIdAt, isId, newId } from '../ids.js';
import { AuditEntry } from './audit-entry.entity.js';
import { redact } from './redact.js';

export interface NewAuditEntry {
  /** Default: whoever makes the current request; outside of one, the system. */
  readonly actor?: Actor;
  /** Absent: no single tenant is concerned. */
  readonly tenantId?: string;
  /** `<type of the subject>.<verb>`, e.g. `adapter.alias.set`. */
  readonly action: string;
  readonly subject: Subject;
  /** The resource before; absent: there was none. Secrets in it are hidden. */
  readonly before?: object;
  /** The resource after; absent: it is gone. */
  readonly after?: object;
}

/** What a query asks for, its tenant found. */
export interface AuditFilter extends Omit<AuditQuery, 'tenant'> {
  readonly tenantId?: string;
}

const SYSTEM: Actor = { type: 'system', id: 'system' };

const PRUNE_BATCH = 5_000;

/** Who changed what, from where, and how it was before: one entry per change, until `prune`. */
@Injectable()
export class AuditLog {
  constructor(private readonly database: DataSource) {}

  /** Writes an entry in the transaction of `manager`, so that there is one exactly when the change is committed. */
  static async record(manager: EntityManager, entry: NewAuditEntry): Promise<void> {
    const request = currentRequest();
    const actor = entry.actor ?? (request ? request.actor : SYSTEM);
    if (!actor) throw new Error(`${entry.action}: nobody knows who makes this request`);
    const createdAt = new Date();
    const id = newId(createdAt.getTime());
    await markEffect(manager, id);
    await manager.insert(AuditEntry, {
      id,
      createdAt,
      actorType: actor.type,
      actorId: actor.id,
      tenantId: entry.tenantId ?? null,
      action: entry.action,
      subjectType: entry.subject.type,
      subjectId: entry.subject.id,
      before: entry.before ? (redact(entry.before) as object) : null,
      after: entry.after ? (redact(entry.after) as object) : null,
      requestId: request?.requestId ?? null,
      address: request?.address ?? null,
    });
  }

  /**
   * Deletes entries older than `before`, a bounded number in each transaction, which tells of it by an entry of its own.
   * Returns how many are gone.
   */
  async prune(before: Date, signal: AbortSignal): Promise<number> {
    let gone = 0;
    for (let batch = PRUNE_BATCH; batch === PRUNE_BATCH && !signal.aborted; gone += batch) {
      batch = await this.database.transaction(async (manager) => {
        // Without it the database refuses: migration 0050.
        await manager.query("SET LOCAL lorikeet.retention = 'on'");
        const [, deleted] = await manager.query<[rows: unknown[], deleted: number]>(
          `DELETE FROM audit_entries WHERE id IN (
             SELECT id FROM audit_entries WHERE id < $1 ORDER BY id LIMIT ${PRUNE_BATCH}
           )`,
          [firstIdAt(before.getTime())],
        );
        if (deleted > 0) {
          const subject = { type: 'audit', id: 'audit' };
          const after = { deleted, before: before.toISOString() };
          await AuditLog.record(manager, { actor: SYSTEM, action: 'audit.prune', subject, after });
        }
        return deleted;
      });
    }
    return gone;
  }

  /** Newest first. */
  async list({ limit, after, ...filter }: AuditFilter): Promise<List<AuditEntryResource>> {
    const query = this.database
      .getRepository(AuditEntry)
      .createQueryBuilder('entry')
      .orderBy('entry.id', 'DESC')
      .take(limit + 1);
    if (after !== undefined) {
      if (!isId(after))
        throw new AppError('invalid_request', { message: '`after` is no id of this list.', param: 'after' });
      query.andWhere('entry.id < :after', { after });
    }
    const { tenantId, actor, action, subject, from, to } = filter;
    if (tenantId !== undefined) query.andWhere('entry.tenant_id = :tenantId', { tenantId });
    if (actor !== undefined) {
      const isType = (ACTOR_TYPES as readonly string[]).includes(actor);
      query.andWhere(isType ? 'entry.actor_type = :actor' : 'entry.actor_id = :actor', { actor });
    }
    if (action?.endsWith('.*')) {
      // The column's collation is "C", where `/` follows `.`: the range is exactly what begins so, and on the index.
      const low = action.slice(0, -1);
      const high = `${action.slice(0, -2)}/`;
      query.andWhere('entry.action >= :low AND entry.action < :high', { low, high });
    } else if (action !== undefined) query.andWhere('entry.action = :action', { action });
    if (subject !== undefined) query.andWhere('entry.subject_id = :subject', { subject });
    // An id holds the entry's time.
    if (from !== undefined) query.andWhere('entry.id >= :from', { from: firstIdAt(Date.parse(from)) });
    if (to !== undefined) query.andWhere('entry.id < :to', { to: firstIdAt(Date.parse(to)) });
    return listPage((await query.getMany()).map(toResource), limit);
  }
}

function toResource(row: AuditEntry): AuditEntryResource {
  return {
    id: row.id,
    object: 'audit_entry',
    created_at: row.createdAt.toISOString(),
    actor: { type: row.actorType, id: row.actorId },
    tenant_id: row.tenantId,
    action: row.action,
    subject: { type: row.subjectType, id: row.subjectId },
    before: row.before as AuditEntryResource['before'],
    after: row.after as AuditEntryResource['after'],
    request_id: row.requestId,
    address: row.address,
  };
}
