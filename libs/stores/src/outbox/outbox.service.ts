import { Injectable } from '@nestjs/common';
import type { DomainEventType } from '#contracts/domain-events.js';
import type { EntityManager } from 'typeorm';
import { newId } from '../ids.js';
import { Notifications } from '../postgres/notifications.js';
import { OutboxEvent } from './outbox-event.entity.js';

/** Wakes whoever dispatches events; the payload is the event's id. */
export const OUTBOX_CHANNEL = 'lorikeet_outbox';

export interface NewEvent {
  readonly tenantId: string;
  readonly type: DomainEventType;
  /** The public resource as it is after the event. */
  readonly payload: object;
}

/** Part of the transaction of `manager`: the event is told exactly when the change is committed. Returns its id. */
export async function addEvent(
  manager: EntityManager,
  { tenantId, type, payload }: NewEvent,
): Promise<string> {
  const id = newId();
  await manager.insert(OutboxEvent, { id, tenantId, type, payload, dispatchedAt: null });
  await Notifications.publish(manager, OUTBOX_CHANNEL, id);
  return id;
}

/** `addEvent` for those who have it injected. */
@Injectable()
export class OutboxService {
  add(manager: EntityManager, event: NewEvent): Promise<string> {
    return addEvent(manager, event);
  }
}
