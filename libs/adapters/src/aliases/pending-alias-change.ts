import type { Actor } from '#contracts/audit-api.js';
import type { PendingChange } from '#contracts/pending-changes-api.js';
import { currentRequest } from '#runtime/request-context.js';
import { AuditLog } from '#stores/audit/audit-log.service.js';
import { newId } from '#stores/ids.js';
import { addEvent } from '#stores/outbox/outbox.service.js';
import type { EntityManager } from 'typeorm';
import type { Adapter } from '../registry/adapter.entity.js';
import { type AliasOrder, auditOf, type HeldAlias, planOf } from './alias-orders.js';
import { isOverdue, PendingAliasChange, pendingChange } from './pending-alias-change.entity.js';

type Requestable = Exclude<AliasOrder, { kind: 'guard' }>;

/** Who asks, and for how many days it may wait (undefined: for ever). */
interface Request {
  readonly keyId: string;
  readonly lifetime_days: number | undefined;
}

const DAY_MS = 86_400_000;
export const EXPIRED = { state: 'expired', decidedBy: null, reason: 'Nobody decided it in time.' } as const;

/**
 * Keeps a change for a second key, once it is known to be possible. Asking for the same again is the same change; asking
 * for another one takes back what the same key asked for before.
 */
export async function requestChange(
  held: HeldAlias,
  order: Requestable,
  { keyId, lifetime_days }: Request,
): Promise<PendingChange> {
  const { manager, adapter, alias, current } = held;
  const routes = (await planOf(held, order))?.routes ?? [];
  const change = order.kind === 'set' ? order.change : null;
  const revision = current?.revision ?? null;
  for (const row of await openChanges(manager, adapter, alias)) {
    if (isOverdue(row)) {
      await endChange(manager, adapter, row, EXPIRED);
      continue;
    }
    if (row.requestedBy.id !== keyId) continue;
    const same =
      row.action === order.kind &&
      row.revision === revision &&
      JSON.stringify(sorted(row.change)) === JSON.stringify(sorted(change));
    if (same) return pendingChange(adapter.name, row);
    await endChange(manager, adapter, row, { state: 'superseded', decidedBy: null, reason: null });
  }
  const createdAt = new Date();
  const row = Object.assign(new PendingAliasChange(), {
    id: newId(),
    adapterId: adapter.id,
    tenantId: adapter.tenantId,
    alias,
    action: order.kind,
    change,
    routes,
    revision,
    state: 'pending' as const,
    requestedBy: actorOf(keyId),
    decidedBy: null,
    reason: null,
    createdAt,
    expiresAt: lifetime_days === undefined ? null : new Date(createdAt.getTime() + lifetime_days * DAY_MS),
    decidedAt: null,
  });
  await manager.insert(PendingAliasChange, row);
  const resource = pendingChange(adapter.name, row);
  await AuditLog.record(manager, { ...auditOf('request', adapter, alias), after: resource });
  const type = 'adapter.alias.change_requested' as const;
  await addEvent(manager, { tenantId: adapter.tenantId, type, payload: resource });
  return resource;
}

/** Writes what became of a change, and tells of it. */
export async function endChange(
  manager: EntityManager,
  adapter: Adapter,
  row: PendingAliasChange,
  end: Pick<PendingAliasChange, 'state' | 'decidedBy' | 'reason'>,
): Promise<PendingChange> {
  const before = { ...pendingChange(adapter.name, row), state: row.state };
  Object.assign(row, end, { decidedAt: new Date() });
  const { id, tenantId, state, decidedBy, reason, decidedAt } = row;
  await manager.update(PendingAliasChange, { id, tenantId }, {
    state,
    decidedBy,
    reason,
    decidedAt,
  } as object);
  const after = pendingChange(adapter.name, row);
  const verb = {
    approved: 'approve',
    declined: 'decline',
    superseded: 'supersede',
    outdated: 'outdate',
    expired: 'expire',
    pending: 'request',
  }[state];
  await AuditLog.record(manager, { ...auditOf(verb, adapter, row.alias), before, after });
  await addEvent(manager, { tenantId, type: 'adapter.alias.change_decided', payload: after });
  return after;
}

export function openChanges(
  manager: EntityManager,
  adapter: Adapter,
  alias: string,
): Promise<PendingAliasChange[]> {
  const where = { adapterId: adapter.id, tenantId: adapter.tenantId, alias, state: 'pending' as const };
  return manager.find(PendingAliasChange, { where, order: { id: 'ASC' } });
}

/** The caller as the audit log names them. */
export function actorOf(keyId: string): Actor {
  return { type: currentRequest()?.actor?.type ?? 'api_key', id: keyId };
}

/** PostgreSQL keeps members of an object in an order of its own. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  const members = Object.entries(value).filter(([, member]) => member !== undefined);
  return Object.fromEntries(
    members.toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([name, member]) => [name, sorted(member)]),
  );
}
