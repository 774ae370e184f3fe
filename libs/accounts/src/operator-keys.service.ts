import { Injectable } from '@nestjs/common';
import type {
  CreatedOperatorKey,
  CreateOperatorKey,
  OperatorKeyResource,
} from '#contracts/operator-keys-api.js';
import { type List, listPage, type PageQuery } from '#contracts/resource.js';
import { AppError } from '#runtime/app-error.js';
import { AuditLog } from '#stores/audit/audit-log.service.js';
import { isId, newId } from '#stores/ids.js';
import { Notifications } from '#stores/postgres/notifications.js';
import { DataSource, LessThan } from 'typeorm';
import { makeKey } from './api-key.js';
import { KEYS_CHANNEL } from './keys-channel.js';
import { OperatorKey } from './operator-key.entity.js';
import { unknownCursor } from './tenants.service.js';

/** Operator keys that come and go, unlike the one in ADMIN_API_KEY. */
@Injectable()
export class OperatorKeysService {
  constructor(private readonly database: DataSource) {}

  async create({ name, expires_at }: CreateOperatorKey): Promise<CreatedOperatorKey> {
    const { key, sha256, prefix } = makeKey('operator');
    const row = Object.assign(new OperatorKey(), {
      id: newId(),
      name,
      sha256,
      prefix,
      createdAt: new Date(),
      expiresAt: expires_at === undefined ? null : new Date(expires_at),
      lastUsedAt: null,
      revokedAt: null,
    });
    const after = toResource(row);
    await this.database.transaction(async (manager) => {
      await manager.insert(OperatorKey, row);
      await AuditLog.record(manager, { action: 'operator_key.create', subject: subjectOf(row), after });
    });
    return { ...after, key };
  }

  async list({ limit, after }: PageQuery): Promise<List<OperatorKeyResource>> {
    if (after !== undefined && !isId(after)) throw unknownCursor();
    const rows = await this.database.getRepository(OperatorKey).find({
      where: after === undefined ? {} : { id: LessThan(after) },
      order: { id: 'DESC' },
      take: limit + 1,
    });
    return listPage(rows.map(toResource), limit);
  }

  /** Ends a key now, in every process; revoking twice keeps the first time. */
  async revoke(id: string): Promise<OperatorKeyResource> {
    return this.database.transaction(async (manager) => {
      const lock = { mode: 'pessimistic_write' } as const;
      const row = isId(id) ? await manager.findOne(OperatorKey, { where: { id }, lock }) : null;
      if (!row) throw new AppError('not_found', { message: 'There is no such key.' });
      const before = toResource(row);
      row.revokedAt ??= new Date();
      await manager.update(OperatorKey, { id }, { revokedAt: row.revokedAt });
      const after = toResource(row);
      await AuditLog.record(manager, {
        action: 'operator_key.revoke',
        subject: subjectOf(row),
        before,
        after,
      });
      await Notifications.publish(manager, KEYS_CHANNEL, row.sha256);
      return after;
    });
  }
}

function subjectOf({ id }: OperatorKey) {
  return { type: 'operator_key', id };
}

function toResource(row: OperatorKey): OperatorKeyResource {
  return {
    id: row.id,
    object: 'operator_key',
    name: row.name,
    prefix: row.prefix,
    created_at: row.createdAt.toISOString(),
    expires_at: row.expiresAt?.toISOString() ?? null,
    last_used_at: row.lastUsedAt?.toISOString() ?? null,
    revoked_at: row.revokedAt?.toISOString() ?? null,
  };
}
