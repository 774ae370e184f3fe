import { Injectable } from '@nestjs/common';
import { ALL_EVENTS } from '#contracts/webhook-endpoints-api.js';
import { firstIdAt, newId } from '#stores/ids.js';
import { OutboxEvent } from '#stores/outbox/outbox-event.entity.js';
import { DataSource, type EntityManager } from 'typeorm';
import { eventBody } from './event-body.js';
import { WebhookDelivery } from './webhook-delivery.entity.js';
import { announceDue } from './webhooks-channel.js';

const BATCH = 100;
const DAY_MS = 24 * 3600_000;
const PRUNE_BATCH = 1_000;
const OUTBOX_DAYS = 7;

/** For how many days deliveries are kept after they were done; undefined: for ever. */
export interface DeliveryRetention {
  /** Of what is told to others. */
  readonly outgoing_days: number | undefined;
  /** Of what others told us: a repeated webhook-id is known for so long. */
  readonly incoming_days: number | undefined;
}

/** `done`: since before the time $2. */
function kept({ outgoing_days, incoming_days }: DeliveryRetention) {
  const done = 'due_at IS NULL AND coalesce(finished_at, created_at) < $2';
  return [
    { table: 'outbox_events', done: 'dispatched_at < $2', days: OUTBOX_DAYS },
    { table: 'webhook_deliveries', done, days: outgoing_days },
    { table: 'hook_deliveries', done, days: incoming_days },
  ];
}

/** Makes, of each event of the outbox, one delivery for each endpoint that wants it: exactly once. */
@Injectable()
export class EventFanOut {
  constructor(private readonly database: DataSource) {}

  /** Hands on what waits; returns how many events. Any number of workers may call it at once. */
  async run(): Promise<number> {
    return this.database.transaction(async (manager) => {
      const events = await manager
        .createQueryBuilder(OutboxEvent, 'event')
        .where('event.dispatched_at IS NULL')
        .orderBy('event.id')
        .take(BATCH)
        .setLock('pessimistic_write')
        .setOnLocked('skip_locked')
        .getMany();
      let made = 0;
      for (const event of events) made += await fanOut(manager, event);
      if (events.length > 0) {
        const ids = events.map(({ id }) => id);
        await manager.update(OutboxEvent, ids, { dispatchedAt: new Date() });
      }
      if (made > 0) await announceDue(manager);
      return events.length;
    });
  }

  /**
   * Forgets what is long over, a bounded number of rows per statement; stops between two when `signal` aborts. Any
   * number of workers may call it at once.
   */
  async prune(now: Date, retention: DeliveryRetention, signal: AbortSignal): Promise<void> {
    for (const { table, done, days } of kept(retention)) {
      if (days === undefined) continue;
      const before = new Date(now.getTime() - days * DAY_MS);
      // Nothing is done before it is made, and ids begin with that time: each batch is a walk along a primary key.
      const sql = `
        DELETE FROM ${table} WHERE id IN (
          SELECT id FROM ${table} WHERE id < $1 AND ${done} ORDER BY id LIMIT ${PRUNE_BATCH} FOR UPDATE SKIP LOCKED
        )`;
      let gone = PRUNE_BATCH;
      while (gone === PRUNE_BATCH && !signal.aborted) {
        const values = [firstIdAt(before.getTime()), before];
        [, gone] = await this.database.query<[rows: unknown[], gone: number]>(sql, values);
      }
    }
  }
}

async function fanOut(manager: EntityManager, event: OutboxEvent): Promise<number> {
  const endpoints = await manager.query<{ id: string }[]>(
    'SELECT id FROM webhook_endpoints WHERE tenant_id = $1 AND enabled AND events && $2::text[]',
    [event.tenantId, [event.type, ALL_EVENTS]],
  );
  if (endpoints.length === 0) return 0;
  const body = eventBody(event);
  const now = new Date();
  const rows = endpoints.map(({ id: targetId }) => ({
    id: newId(),
    tenantId: event.tenantId,
    targetKind: 'endpoint' as const,
    targetId,
    eventId: event.id,
    type: event.type,
    body,
    state: 'pending' as const,
    dueAt: now,
    createdAt: now,
  }));
  await manager.createQueryBuilder().insert().into(WebhookDelivery).values(rows).orIgnore().execute();
  return rows.length;
}
