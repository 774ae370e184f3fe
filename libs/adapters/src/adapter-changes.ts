import { z } from 'zod';
import { Notifications, type Queryable } from '#stores/postgres/notifications.js';

/** Announces that what an adapter serves, or a version's state, has changed. */
export const ADAPTERS_CHANNEL = 'lorikeet_adapters';

const ChangeSchema = z.object({ tenant: z.string(), adapter: z.string(), version: z.string().optional() });

export interface AdapterChangeNote {
  readonly tenant: string;
  /** Its name. */
  readonly adapter: string;
  /** The id of the version concerned, when it is one. */
  readonly version?: string | undefined;
}

/** Part of the transaction when `database` is its manager. */
export async function publishChange(database: Queryable, note: AdapterChangeNote): Promise<void> {
  await Notifications.publish(database, ADAPTERS_CHANNEL, JSON.stringify(note));
}

export function parseChange(payload: string): AdapterChangeNote {
  return ChangeSchema.parse(JSON.parse(payload));
}
