import { Notifications, type Queryable } from '#stores/postgres/notifications.js';

/** Wakes the worker: webhooks wait to be sent. */
export const WEBHOOKS_CHANNEL = 'lorikeet_webhooks';

/** Part of the transaction when `database` is its manager. */
export function announceDue(database: Queryable): Promise<void> {
  return Notifications.publish(database, WEBHOOKS_CHANNEL, '');
}
