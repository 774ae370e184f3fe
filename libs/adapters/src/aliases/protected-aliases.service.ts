import { Inject, Injectable } from '@nestjs/common';
import type {
  Decision,
  PendingChange,
  PendingChangeQuery,
  ProtectionResource,
} from '#contracts/pending-changes-api.js';
import { type List, listPage } from '#contracts/resource.js';
import { AppError } from '#runtime/app-error.js';
import type { SettingsOf } from '#runtime/settings.js';
import { AuditLog } from '#stores/audit/audit-log.service.js';
import { isId } from '#stores/ids.js';
import { DataSource, LessThanOrEqual } from 'typeorm';
import { Adapter } from '../registry/adapter.entity.js';
import { AdapterChanges } from '../registry/adapter-changes.js';
import { lockAdapter } from '../registry/adapter-rows.js';
import { Alias } from './alias.entity.js';
import { type AliasOrder, auditOf, carryOut, isProtected } from './alias-orders.js';
import { AliasProtection } from './alias-protection.entity.js';
import { LATEST } from './alias-routes.js';
import { type AliasAddress, automatic } from './aliases.service.js';
import { actorOf, endChange, EXPIRED, openChanges, requestChange } from './pending-alias-change.js';
import { isOverdue, PendingAliasChange, pendingChange } from './pending-alias-change.entity.js';
import { ADAPTERS_SETTINGS, type adaptersSettings } from '../settings.js';

/** Who decides or protects. */
interface Decider {
  readonly keyId: string;
  readonly operator: boolean;
}

const EXPIRED_AT_ONCE = 200;

/** Aliases that one key alone does not move: what asks for a second key, and what the second key says. */
@Injectable()
export class ProtectedAliases {
  constructor(
    private readonly database: DataSource,
    private readonly changes: AdapterChanges,
    @Inject(ADAPTERS_SETTINGS) private readonly settings: SettingsOf<typeof adaptersSettings>,
  ) {}

  /** To end a protection takes a second key, too, or an operator. */
  async protect(
    { tenantId, adapter: name, alias }: AliasAddress,
    wanted: boolean,
    { keyId, operator }: Decider,
  ): Promise<ProtectionResource | PendingChange> {
    if (alias === LATEST) throw automatic();
    return this.changes.commit({ tenant: tenantId, adapter: name }, async (manager) => {
      const adapter = await lockAdapter(manager, tenantId, name);
      const answer = { object: 'adapter.alias.protection' as const, adapter: name, alias, protected: wanted };
      if ((await isProtected(manager, adapter, alias)) === wanted) return answer;
      const current = await manager.findOneBy(Alias, { tenantId, adapterId: adapter.id, name: alias });
      const held = { manager, adapter, alias, current };
      if (!wanted && !operator) {
        const lifetime_days = this.settings.pendingChange_days;
        return requestChange(held, { kind: 'unprotect' }, { keyId, lifetime_days });
      }
      if (wanted) {
        await manager.insert(AliasProtection, { adapterId: adapter.id, alias, tenantId });
        await AuditLog.record(manager, {
          ...auditOf('protect', adapter, alias),
          before: { protected: false },
          after: { protected: true },
        });
        return answer;
      }
      await carryOut(held, { kind: 'unprotect' }, { keyId });
      const end = { state: 'outdated', decidedBy: null, reason: 'The alias is protected no more.' } as const;
      for (const row of await openChanges(manager, adapter, alias))
        await endChange(manager, adapter, row, end);
      return answer;
    });
  }

  /** Newest first. */
  async list(tenantId: string, query: PendingChangeQuery): Promise<List<PendingChange>> {
    const { limit, after, state, adapter } = query;
    if (after !== undefined && !isId(after))
      throw new AppError('invalid_request', { message: '`after` is no id of this list.', param: 'after' });
    const rows = this.database
      .getRepository(PendingAliasChange)
      .createQueryBuilder('change')
      .innerJoinAndSelect('change.adapter', 'adapter')
      .where('change.tenant_id = :tenantId', { tenantId })
      .orderBy('change.id', 'DESC')
      .take(limit + 1);
    if (state !== undefined) rows.andWhere(STATE, { state, now: new Date() });
    if (adapter !== undefined) rows.andWhere('adapter.name = :adapter', { adapter });
    if (after !== undefined) rows.andWhere('change.id < :after', { after });
    return listPage(
      (await rows.getMany()).map((row) => pendingChange(nameOf(row), row)),
      limit,
    );
  }

  async get(tenantId: string, id: string): Promise<PendingChange> {
    const row = await this.#find(tenantId, id);
    return pendingChange(nameOf(row), row);
  }

  /** Approving carries the change out; whoever asked for it may only decline it. */
  async decide(
    tenantId: string,
    id: string,
    { decision, reason }: Decision,
    { keyId }: Pick<Decider, 'keyId'>,
  ): Promise<PendingChange> {
    const name = nameOf(await this.#find(tenantId, id));
    const result = await this.changes.commit({ tenant: tenantId, adapter: name }, async (manager) => {
      const adapter = await lockAdapter(manager, tenantId, name);
      const row = await manager.findOneByOrFail(PendingAliasChange, { id, tenantId });
      refuseDecided(row);
      if (isOverdue(row)) return endChange(manager, adapter, row, EXPIRED);
      const end = { decidedBy: actorOf(keyId), reason: reason ?? null };
      if (decision === 'decline') return endChange(manager, adapter, row, { ...end, state: 'declined' });
      if (row.requestedBy.id === keyId) throw itself();
      const where = { tenantId, adapterId: adapter.id, name: row.alias };
      const current = await manager.findOneBy(Alias, where);
      if ((current?.revision ?? null) !== row.revision)
        return endChange(manager, adapter, row, { ...end, state: 'outdated' });
      const held = { manager, adapter, alias: row.alias, current };
      await carryOut(held, orderOf(row), { keyId: row.requestedBy.id, approvedBy: keyId });
      return endChange(manager, adapter, row, { ...end, state: 'approved' });
    });
    // Written first, so that it waits no longer.
    if (result.state === 'expired') throw waitsNoMore('expired');
    if (decision === 'approve' && result.state === 'outdated')
      throw new AppError('precondition_failed', {
        message: 'The alias has been changed since this change was asked for; ask for it again.',
      });
    return result;
  }

  /** Ends what waited for too long; returns how many. Any number of processes may do it at once. */
  async expire(now: Date): Promise<number> {
    const overdue = await this.database.manager.find(PendingAliasChange, {
      where: { state: 'pending', expiresAt: LessThanOrEqual(now) },
      order: { expiresAt: 'ASC' },
      take: EXPIRED_AT_ONCE,
    });
    let ended = 0;
    for (const found of overdue) {
      const { id, tenantId, adapterId } = found;
      await this.database.transaction(async (manager) => {
        const lock = { mode: 'pessimistic_write' } as const;
        const adapter = await manager.findOne(Adapter, { where: { id: adapterId, tenantId }, lock });
        const row = await manager.findOneBy(PendingAliasChange, { id, tenantId });
        if (!adapter || !row || !isOverdue(row, now)) return; // decided, deleted, or ended by another process
        await endChange(manager, adapter, row, EXPIRED);
        ended += 1;
      });
    }
    return ended;
  }

  async #find(tenantId: string, id: string): Promise<PendingAliasChange> {
    const row = isId(id)
      ? await this.database.manager.findOne(PendingAliasChange, {
          where: { id, tenantId },
          relations: { adapter: true },
        })
      : null;
    if (!row) throw new AppError('not_found', { message: 'There is no such change.' });
    return row;
  }
}

function orderOf({ action, change }: PendingAliasChange): AliasOrder {
  if (action !== 'set') return { kind: action };
  if (!change) throw new Error('a pending `set` holds what to set');
  return { kind: 'set', change };
}

function nameOf({ adapter }: PendingAliasChange): string {
  return (adapter as Adapter).name;
}

/** What is overdue counts as expired, whether it has been written down or not. */
const STATE = `CASE WHEN change.state = 'pending' AND change.expires_at <= :now THEN 'expired' ELSE change.state END = :state`;

function refuseDecided({ state }: PendingAliasChange): void {
  if (state !== 'pending') throw waitsNoMore(state);
}

function waitsNoMore(state: PendingChange['state']): AppError {
  return new AppError('conflict', { message: `The change waits no more: it is ${state}.` });
}

function itself(): AppError {
  return new AppError('insufficient_scope', {
    message:
      'A change of a protected alias is approved by another key or person than the one who asked for it.',
  });
}
