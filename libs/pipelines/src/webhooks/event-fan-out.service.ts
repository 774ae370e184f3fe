import { Injectable } from '@nestjs/common';
import { ALL_EVENTS } from '#contracts/webhook-endpoints-api.js';
import { newId } from '#stores/ids.js';
import { OutboxEvent } from '#stores/outbox/outbox-event.entity.js';
import { DataSource, type EntityManager, LessThan } from 'typeorm';
import { eventBody } from './event-body.js';
import { WebhookDelivery } from './webhook-delivery.entity.js';
import { announceDue } from './webhooks-channel.js';

const BATCH = 100;
const KEEP_EVENTS_MS = 7 * 24 * 3600_000;
const KEEP_DELIVERIES_MS = 30 * 24 * 3600_000;

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

  /** Forgets what is long over. */
  async prune(now: Date): Promise<void> {
    const { manager } = this.database;
    await manager.delete(OutboxEvent, { dispatchedAt: LessThan(new Date(now.getTime() - KEEP_EVENTS_MS)) });
    await manager.delete(WebhookDelivery, {
      finishedAt: LessThan(new Date(now.getTime() - KEEP_DELIVERIES_MS)),
    });
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
