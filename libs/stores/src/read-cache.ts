import { setTimeout as sleep } from 'node:timers/promises';
import { isAway } from './postgres/database-error.js';

export interface ReadCacheOptions {
  /** How long a value is used without asking again. */
  readonly fresh_ms: number;
  /** How long a value may still be used while its source is away. */
  readonly stale_ms: number;
  readonly limit: number;
}

/** How long a reader that has an old value waits for the new one. */
const PATIENCE_MS = 500;
/** After a wait in vain, old values are used at once for so long: the source is asked again, but nobody waits. */
const RETRY_MS = 1_000;

interface Entry<V> {
  readonly value: V;
  readonly loadedAt_ms: number;
  readonly group: string | undefined;
}

const SILENT = Symbol('silent');

interface Loading<V> {
  readonly value: Promise<V | undefined>;
  readonly group: string | undefined;
}

/**
 * Remembers rows that many requests read: one load at a time per key, least recently used out first. `undefined`
 * (no such row) is never kept, so a row is found the moment it exists. While the database is away, what is known
 * goes on being used for `stale_ms`.
 */
export class ReadCache<V extends object> {
  readonly #entries = new Map<string, Entry<V>>();
  readonly #loading = new Map<string, Loading<V>>();
  /** Keys by their group, so that a change to one thing costs what is known of it, not what is known of all. */
  readonly #groups = new Map<string, Set<string>>();

  #silentUntil_ms = Number.NEGATIVE_INFINITY;

  constructor(
    private readonly options: ReadCacheOptions,
    private readonly now_ms: () => number = Date.now,
  ) {}

  /** `group` names what the value depends on; all keys of a group are forgotten together. */
  async get(key: string, load: () => Promise<V | undefined>, group?: string): Promise<V | undefined> {
    const entry = this.#entries.get(key);
    if (entry && this.now_ms() - entry.loadedAt_ms < this.options.fresh_ms) {
      this.#entries.delete(key); // to the young end of the map's order
      this.#entries.set(key, entry);
      return entry.value;
    }
    const loading = this.#loading.get(key)?.value ?? this.#load(key, load, group);
    try {
      return await (entry && this.#stillUsable(entry) ? this.#orOld(loading, key, entry.value) : loading);
    } catch (error) {
      const known = this.#entries.get(key);
      if (known && isAway(error) && this.#stillUsable(known)) return known.value;
      throw error;
    }
  }

  #stillUsable(entry: Entry<V>): boolean {
    return this.now_ms() - entry.loadedAt_ms < this.options.stale_ms;
  }

  /**
   * What the source says in time, else the old value: a source that is silent must not hold up what can go on without. A
   * key that is forgotten meanwhile is waited for.
   */
  async #orOld(loading: Promise<V | undefined>, key: string, old: V): Promise<V | undefined> {
    loading.catch(() => undefined); // the race may have ended before
    const patience_ms = this.now_ms() < this.#silentUntil_ms ? 0 : PATIENCE_MS;
    const stop = new AbortController();
    const patience: Promise<typeof SILENT> = sleep(patience_ms, undefined, { signal: stop.signal }).then(
      () => SILENT,
      () => SILENT,
    );
    const answer = await Promise.race([loading, patience]).finally(() => stop.abort());
    if (answer !== SILENT) return answer;
    if (this.#entries.get(key)?.value !== old) return loading;
    if (patience_ms > 0) this.#silentUntil_ms = this.now_ms() + RETRY_MS;
    return old;
  }

  /** Forgets one key, also where its load is under way. */
  forget(key: string): void {
    const group = (this.#entries.get(key) ?? this.#loading.get(key))?.group;
    this.#entries.delete(key);
    this.#loading.delete(key);
    this.#leaveGroup(key, group);
  }

  /** Forgets every key that was loaded with this group. */
  forgetGroup(group: string): void {
    for (const key of this.#groups.get(group) ?? []) this.forget(key);
  }

  /** Makes every value be asked for again at its next use, yet keeps it for the time that the source is away. */
  expireAll(): void {
    const expired_ms = this.now_ms() - this.options.fresh_ms;
    for (const [key, entry] of this.#entries) {
      this.#entries.set(key, { ...entry, loadedAt_ms: Math.min(entry.loadedAt_ms, expired_ms) });
    }
    for (const [key, { group }] of this.#loading) if (!this.#entries.has(key)) this.#leaveGroup(key, group);
    this.#loading.clear();
  }

  #load(key: string, load: () => Promise<V | undefined>, group?: string): Promise<V | undefined> {
    const loading: Loading<V> = {
      group,
      value: load()
        .then((value) => {
          // A load that was forgotten meanwhile may have read what stood before the change.
          if (this.#loading.get(key) === loading) this.#store(key, value, group);
          return value;
        })
        .finally(() => {
          if (this.#loading.get(key) !== loading) return;
          this.#loading.delete(key);
          if (!this.#entries.has(key)) this.#leaveGroup(key, group);
        }),
    };
    this.#loading.set(key, loading);
    if (group !== undefined) this.#groups.set(group, (this.#groups.get(group) ?? new Set()).add(key));
    return loading.value;
  }

  #store(key: string, value: V | undefined, group: string | undefined): void {
    this.#entries.delete(key);
    if (value === undefined) return;
    this.#entries.set(key, { value, group, loadedAt_ms: this.now_ms() });
    if (this.#entries.size > this.options.limit) {
      const [oldest] = this.#entries.keys();
      if (oldest !== undefined) this.forget(oldest);
    }
  }

  #leaveGroup(key: string, group: string | undefined): void {
    if (group === undefined) return;
    const keys = this.#groups.get(group);
    keys?.delete(key);
    if (keys?.size === 0) this.#groups.delete(group);
  }
}
