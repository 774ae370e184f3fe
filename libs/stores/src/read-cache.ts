import { isAway } from './postgres/database-error.js';

export interface ReadCacheOptions {
  /** How long a value is used without asking again. */
  readonly fresh_ms: number;
  /** How long a value may still be used while its source is away. */
  readonly stale_ms: number;
  readonly limit: number;
}

interface Entry<V> {
  readonly value: V;
  readonly loadedAt_ms: number;
}

/**
 * Remembers rows that many requests read: one load at a time per key, least recently used out first. `undefined`
 * (no such row) is never kept, so a row is found the moment it exists. While the database is away, what is known
 * goes on being used for `stale_ms`.
 */
export class ReadCache<V extends object> {
  readonly #entries = new Map<string, Entry<V>>();
  readonly #loading = new Map<string, Promise<V | undefined>>();

  constructor(
    private readonly options: ReadCacheOptions,
    private readonly now_ms: () => number = Date.now,
  ) {}

  async get(key: string, load: () => Promise<V | undefined>): Promise<V | undefined> {
    const entry = this.#entries.get(key);
    if (entry && this.now_ms() - entry.loadedAt_ms < this.options.fresh_ms) {
      this.#entries.delete(key); // to the young end of the map's order
      this.#entries.set(key, entry);
      return entry.value;
    }
    try {
      return await (this.#loading.get(key) ?? this.#load(key, load));
    } catch (error) {
      const known = this.#entries.get(key);
      if (known && isAway(error) && this.now_ms() - known.loadedAt_ms < this.options.stale_ms)
        return known.value;
      throw error;
    }
  }

  /** Forgets one key, also where its load is under way. */
  forget(key: string): void {
    this.#entries.delete(key);
    this.#loading.delete(key);
  }

  /** Forgets every key for which `matches` holds. */
  forgetWhere(matches: (key: string) => boolean): void {
    for (const key of [...this.#entries.keys(), ...this.#loading.keys()]) if (matches(key)) this.forget(key);
  }

  /** Makes every value be asked for again at its next use, yet keeps it for the time that the source is away. */
  expireAll(): void {
    for (const [key, { value }] of this.#entries) {
      this.#entries.set(key, { value, loadedAt_ms: this.now_ms() - this.options.fresh_ms });
    }
    this.#loading.clear();
  }

  #load(key: string, load: () => Promise<V | undefined>): Promise<V | undefined> {
    const loading: Promise<V | undefined> = load()
      .then((value) => {
        // A load that was forgotten meanwhile may have read what stood before the change.
        if (this.#loading.get(key) === loading) this.#store(key, value);
        return value;
      })
      .finally(() => {
        if (this.#loading.get(key) === loading) this.#loading.delete(key);
      });
    this.#loading.set(key, loading);
    return loading;
  }

  #store(key: string, value: V | undefined): void {
    this.#entries.delete(key);
    if (value === undefined) return;
    this.#entries.set(key, { value, loadedAt_ms: this.now_ms() });
    if (this.#entries.size > this.options.limit) {
      const [oldest] = this.#entries.keys();
      if (oldest !== undefined) this.#entries.delete(oldest);
    }
  }
}
