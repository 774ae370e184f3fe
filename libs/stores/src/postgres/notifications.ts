import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from '#runtime/logger.js';
import pg from 'pg';

/** What a subscriber does when a row that it caches changed somewhere. */
export interface ChangeListener {
  /** One change, as its publisher described it. */
  changed(payload: string): void;
  /** The connection was away: any number of changes may have been missed. */
  missed(): void;
}

/** Anything that runs SQL: a DataSource, or the EntityManager of a transaction. */
export interface Queryable {
  query(sql: string, parameters?: unknown[]): Promise<unknown>;
}

const CHANNEL = /^[a-z_]{1,60}$/;
const RECONNECT_MIN_MS = 50;
const RECONNECT_MAX_MS = 2_000;
/** A connection whose peer vanished without a word is found out by a question that gets no answer. */
const HEARTBEAT_MS = 1_000;
const HEARTBEAT_TIMEOUT_MS = 2_000;

/**
 * PostgreSQL's LISTEN/NOTIFY on one dedicated connection, re-established whenever it breaks. A notification sent in a
 * transaction arrives after its commit, in every process that listens.
 */
export class Notifications {
  readonly #listeners = new Map<string, Set<ChangeListener>>();
  readonly #closing = new AbortController();
  #client: pg.Client | undefined;
  #running: Promise<void> | undefined;
  #listening = false;
  #lastAnswer: Promise<unknown> = Promise.resolve();

  constructor(
    private readonly url: string,
    private readonly logger: Logger,
  ) {}

  /** Announces a change to every process; part of the transaction when `database` is its manager. */
  static async publish(database: Queryable, channel: string, payload: string): Promise<void> {
    await database.query('SELECT pg_notify($1, $2)', [channel, payload]);
  }

  /** Whether changes are heard at this moment; while they are not, who caches must ask again. */
  get listening(): boolean {
    return this.#listening;
  }

  /** Starts to listen, in the background and for ever. */
  start(): void {
    this.#running ??= this.#run();
  }

  /** Returns how to unsubscribe. */
  subscribe(channel: string, listener: ChangeListener): () => void {
    if (!CHANNEL.test(channel)) throw new Error(`not a channel name: ${channel}`);
    const listeners = this.#listeners.get(channel) ?? new Set();
    this.#listeners.set(channel, listeners.add(listener));
    if (listeners.size === 1 && this.#client) {
      this.#ask(this.#client, `LISTEN ${channel}`).catch(() => undefined); // a broken client reconnects
    }
    return () => void listeners.delete(listener);
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await this.#client?.end().catch(() => undefined);
    await this.#running;
  }

  async #run(): Promise<void> {
    const { signal } = this.#closing;
    let delay_ms = RECONNECT_MIN_MS;
    while (!signal.aborted) {
      try {
        await this.#listenUntilBroken(() => (delay_ms = RECONNECT_MIN_MS));
      } catch (err) {
        if (!signal.aborted) this.logger.warn({ err }, 'cannot listen to PostgreSQL; trying again');
      }
      await sleep(delay_ms, undefined, { signal }).catch(() => undefined);
      delay_ms = Math.min(delay_ms * 2, RECONNECT_MAX_MS);
    }
  }

  async #listenUntilBroken(listening: () => void): Promise<void> {
    const client = new pg.Client({
      connectionString: this.url,
      application_name: 'lorikeet listen',
      keepAlive: true,
      keepAliveInitialDelayMillis: 5_000,
      query_timeout: HEARTBEAT_TIMEOUT_MS,
      connectionTimeoutMillis: 3_000,
    });
    let lose = (): void => undefined;
    const broken = new Promise<void>((resolve) => {
      lose = resolve;
      client.once('end', resolve);
      client.once('error', () => resolve());
    });
    let heartbeat: NodeJS.Timeout | undefined;
    client.on('error', () => undefined);
    client.on('notification', ({ channel, payload }) => {
      for (const listener of this.#listeners.get(channel) ?? []) listener.changed(payload ?? '');
    });
    try {
      await client.connect();
      this.#client = client;
      for (const channel of this.#listeners.keys()) await this.#ask(client, `LISTEN ${channel}`);
      heartbeat = setInterval(() => void this.#ask(client, 'SELECT 1').catch(lose), HEARTBEAT_MS);
      this.#listening = true;
      this.#tellMissed(); // whatever changed before this moment
      listening();
      if (!this.#closing.signal.aborted) await broken;
    } finally {
      clearInterval(heartbeat);
      this.#listening = false;
      this.#client = undefined;
      this.#tellMissed(); // whatever changes from now on
      await client.end().catch(() => undefined);
    }
  }

  /** One statement after the other: a client takes no second one meanwhile. */
  #ask(client: pg.Client, sql: string): Promise<unknown> {
    const answer = this.#lastAnswer.then(() => client.query(sql));
    this.#lastAnswer = answer.catch(() => undefined);
    return answer;
  }

  #tellMissed(): void {
    for (const listeners of this.#listeners.values()) for (const listener of listeners) listener.missed();
  }
}
