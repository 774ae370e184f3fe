import { Injectable } from '@nestjs/common';
import { z } from 'zod';
import { Notifications, type Queryable } from '#stores/postgres/notifications.js';
import { DataSource, type EntityManager } from 'typeorm';

/** Announces that what an adapter serves, or a version's state, has changed. */
export const ADAPTERS_CHANNEL = 'lorikeet_adapters';

const ChangeSchema = z.object({ tenant: z.string(), adapter: z.string(), version: z.string().optional() });

export interface AdapterChangeNote {
  /** The id of the adapter's owner. */
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

/** Changes to what an adapter serves: told to every process, and known to this one when the change returns. */
@Injectable()
export class AdapterChanges {
  readonly #here = new Set<(note: AdapterChangeNote) => void>();

  constructor(private readonly database: DataSource) {}

  async commit<T>(note: AdapterChangeNote, work: (manager: EntityManager) => Promise<T>): Promise<T> {
    const result = await this.database.transaction(async (manager) => {
      const value = await work(manager);
      await publishChange(manager, note);
      return value;
    });
    // The notification comes a moment later; whoever has the answer already must not meet what stood before.
    for (const listener of this.#here) listener(note);
    return result;
  }

  /** Hears of this process's own changes, before whoever made them has the answer. Returns how to unsubscribe. */
  subscribe(listener: (note: AdapterChangeNote) => void): () => void {
    this.#here.add(listener);
    return () => void this.#here.delete(listener);
  }
}
