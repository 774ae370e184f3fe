import { Inject, Injectable, type OnModuleDestroy, type OnModuleInit } from '@nestjs/common';
import type { Logger } from '#runtime/logger.js';
import { DataSource } from 'typeorm';
import { ACCOUNTS_LOGGER } from './settings.js';

const WRITE_EVERY_MS = 10_000;
/** A key in constant use is written once a minute. */
const RESOLUTION_MS = 60_000;

/** Notes when each key was last used, in one write for all keys. */
@Injectable()
export class KeyLastUse implements OnModuleInit, OnModuleDestroy {
  readonly #noted = new Map<string, Date>();
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

  note(keyId: string): void {
    const now = new Date();
    if (now.getTime() - (this.#written.get(keyId) ?? 0) >= RESOLUTION_MS) this.#noted.set(keyId, now);
  }

  /** Writes what was noted. A failed write loses nothing that the next use does not note again. */
  async flush(): Promise<void> {
    if (this.#noted.size === 0) return;
    const uses = [...this.#noted];
    this.#noted.clear();
    try {
      await this.database.query(
        `UPDATE api_keys SET last_used_at = used.at
         FROM unnest($1::uuid[], $2::timestamptz[]) AS used (id, at) WHERE api_keys.id = used.id`,
        [uses.map(([id]) => id), uses.map(([, at]) => at)],
      );
      for (const [id, at] of uses) this.#written.set(id, at.getTime());
    } catch (err) {
      this.logger.warn({ err }, 'could not note when keys were last used');
    }
  }
}
