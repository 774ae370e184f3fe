import { Notifications, type Queryable } from '#stores/postgres/notifications.js';

/** Wakes the workers that decide on versions of moves. */
export const MOVES_CHANNEL = 'lorikeet_base_moves';

/** Part of the transaction when `database` is its manager. */
export async function announceMoves(database: Queryable): Promise<void> {
  await Notifications.publish(database, MOVES_CHANNEL, '');
}
