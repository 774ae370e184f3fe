import { currentOwner } from '#runtime/request-context.js';
import pg from 'pg';
import { FairPlaces } from '../fair-places.js';

type Connected = (
  error: Error | undefined,
  client: pg.PoolClient | undefined,
  release: (error?: unknown) => void,
) => void;

/** Connections that one caller leaves to others, where there are enough. */
const leftToOthers = (connections: number): number => Math.min(2, Math.floor(connections / 4));

/** node-postgres waits without end where no time is given. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/**
 * A pool whose connections are shared fairly between tenants (of callers not known yet: between addresses). In a plain pool
 * they come in the order in which they were asked for, so one token of a tenant waits behind hundreds of another's uploads.
 */
export class FairPool extends pg.Pool {
  readonly #places: FairPlaces;
  readonly #owners = new WeakMap<pg.PoolClient, string>();
  readonly #patience_ms: number;

  constructor(config: pg.PoolConfig) {
    super(config);
    const { max } = this.options;
    this.#places = new FairPlaces(max, max - leftToOthers(max));
    this.#patience_ms = config.connectionTimeoutMillis || LONGEST_TIMER_MS;
    this.on('release', (_error: unknown, client: pg.PoolClient) => {
      const key = this.#owners.get(client);
      this.#owners.delete(client);
      if (key !== undefined) this.#places.giveBack(key);
    });
  }

  override connect(): Promise<pg.PoolClient>;
  override connect(connected: Connected): void;
  override connect(connected?: Connected): Promise<pg.PoolClient> | undefined {
    const client = this.#connect();
    if (!connected) return client;
    client.then(
      (each) => connected(undefined, each, (error) => each.release(error as Error | undefined)),
      (error: unknown) => connected(error as Error, undefined, () => undefined),
    );
    return undefined;
  }

  async #connect(): Promise<pg.PoolClient> {
    const key = currentOwner();
    if (!(await this.#places.take(key, this.#patience_ms)))
      throw new Error('timeout exceeded when trying to connect'); // as the pool itself says it
    try {
      const client = await super.connect();
      this.#owners.set(client, key);
      return client;
    } catch (error) {
      this.#places.giveBack(key);
      throw error;
    }
  }
}
