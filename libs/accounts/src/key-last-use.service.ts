import { Inject, Injectable, type OnModuleDestroy, type OnModuleInit } from '@nestjs/common';
import type { Logger } from '#runtime/logger.js';
import { DataSource } from 'typeorm';
import { ACCOUNTS_LOGGER } from './settings.js';

const WRITE_EVERY_MS = 10_000;
/** A key in constant use is written once a minute. */
const RESOLUTION_MS = 60_000;

type KeyTable = 'api_keys' | 'operator_keys';

/** Notes when each key was last used, in one write for all keys. */
@Injectable()
export class KeyLastUse implements OnModuleInit, OnModuleDestroy {
  readonly #noted: Record<KeyTable, Map<string, Date>> = { api_keys: new Map(), operator_keys: new Map() };
  readonly #written = new Map<string, number>();
  #timer: NodeJS.Timeout | undefined;

  constructor(
    private readonly database: DataSource,
    @Inject(ACCOUNTS_LOGGER) private readonly logger: Logger,
  ) {}

  onModuleInit(): void {
    this.#timer = setInterval(() => void this.flush(), WRITE_EVERY_MS);
    this.#timer.unref();
  }

  async onModuleDestroy(): Promise<void> {
    clearInterval(this.#timer);
    await this.flush();
  }

  note(table: KeyTable, keyId: string): void {
    const now = new Date();
    if (now.getTime() - (this.#written.get(keyId) ?? 0) >= RESOLUTION_MS) this.#noted[table].set(keyId, now);
  }

  /** Writes what was noted. A failed write loses nothing that the next use does not note again. */
  async flush(): Promise<void> {
    await this.#flush('api_keys');
    await this.#flush('operator_keys');
  }

  async #flush(table: KeyTable): Promise<void> {
    const uses = [...this.#noted[table]];
    if (uses.length === 0) return;
    this.#noted[table].clear();
    try {
      await this.database.query(
        `UPDATE ${table} SET last_used_at = used.at
         FROM unnest($1::uuid[], $2::timestamptz[]) AS used (id, at) WHERE ${table}.id = used.id`,
        [uses.map(([id]) => id), uses.map(([, at]) => at)],
      );
      for (const [id, at] of uses) this.#written.set(id, at.getTime());
    } catch (err) {
      this.logger.warn({ err }, 'could not note when keys were last used');
    }
  }
}
