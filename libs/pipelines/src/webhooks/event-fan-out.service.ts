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
/** Rows that are done, and for how many days they are kept. */
const KEPT: readonly (readonly [table: string, done: string, days: number])[] = [
  ['outbox_events', 'dispatched_at IS NOT NULL', 7],
  ['webhook_deliveries', 'due_at IS NULL', 30],
  ['hook_deliveries', 'due_at IS NULL', 90],
];

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

  /** Forgets what is long over. Ids begin with the time, so each is a walk along a primary key. */
  async prune(now: Date): Promise<void> {
    const before = (days: number): string => firstIdAt(now.getTime() - days * DAY_MS);
    for (const [table, condition, days] of KEPT) {
      await this.database.query(`DELETE FROM ${table} WHERE id < $1 AND ${condition}`, [before(days)]);
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
