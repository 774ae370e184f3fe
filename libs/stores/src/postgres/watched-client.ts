import type { Socket } from 'node:net';
import pg from 'pg';

/** What @types/pg leaves out of a client. */
interface ClientInside {
  readonly connection: { readonly stream: Socket };
  readonly readyForQuery: boolean;
}

/**
 * A client whose connection is cut when PostgreSQL says nothing for `silence_ms` while a query waits for its answer: a
 * frozen server, or a network that swallows packets, would otherwise keep the caller for ever. Cutting also ends the
 * ROLLBACK that would wait behind the query.
 */
export function watchedClient(silence_ms: number): typeof pg.Client {
  return class WatchedClient extends pg.Client {
    constructor(config?: string | pg.ClientConfig) {
      super(config);
      this.once('connect', () => {
        const inside = this as unknown as ClientInside;
        const { stream } = inside.connection;
        stream.setTimeout(silence_ms, () => {
          if (inside.readyForQuery) return; // idle in its pool: the next query starts the time again
          stream.destroy(new Error('Connection terminated: PostgreSQL did not answer in time'));
        });
      });
    }
  };
}
