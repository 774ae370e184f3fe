import { Inject, Injectable, type OnModuleDestroy, type OnModuleInit } from '@nestjs/common';
import type { Logger } from '#runtime/logger.js';
import { newId } from '#stores/ids.js';
import { Notifications } from '#stores/postgres/notifications.js';
import { DataSource } from 'typeorm';
import { ACCOUNTS_LOGGER } from '../settings.js';
import { UsageService } from '../usage.service.js';

const BEAT_MS = 2_000;
/** A process that was silent for so long is dead. */
const DEAD_AFTER_S = 15;
/** Told when a process comes or goes, so that the others need not wait for their next beat. */
const CHANNEL = 'lorikeet_api_processes';

/** Knows how many API processes there are, and tells of those that died what may be missing. */
@Injectable()
export class ApiProcesses implements OnModuleInit, OnModuleDestroy {
  readonly #id = newId();
  #count = 1;
  #timer: NodeJS.Timeout | undefined;
  #unsubscribe: () => void = () => undefined;
  #beating: Promise<void> = Promise.resolve();

  constructor(
    private readonly database: DataSource,
    private readonly notifications: Notifications,
    private readonly usage: UsageService,
    @Inject(ACCOUNTS_LOGGER) private readonly logger: Logger,
  ) {}

  /** API processes that run, this one included; as last known while PostgreSQL is away. */
  get count(): number {
    return this.#count;
  }

  onModuleInit(): Promise<void> {
    return this.enter();
  }

  onModuleDestroy(): Promise<void> {
    return this.leave();
  }

  /** From now on this process counts as one that admits requests. */
  protected async enter(): Promise<void> {
    const beat = () => this.#beat();
    this.#unsubscribe = this.notifications.subscribe(CHANNEL, { changed: beat, missed: () => undefined });
    beat();
    await this.#beating;
    await Notifications.publish(this.database, CHANNEL, '').catch(() => undefined);
    this.#timer = setInterval(beat, BEAT_MS);
    this.#timer.unref();
  }

  protected async leave(): Promise<void> {
    this.#unsubscribe();
    clearInterval(this.#timer);
    await this.#beating;
    try {
      await this.usage.flush();
      await this.database.query('DELETE FROM api_processes WHERE id = $1', [this.#id]);
      await Notifications.publish(this.database, CHANNEL, '');
    } catch (err) {
      this.logger.warn({ err }, 'this API process could not sign off; its usage may be incomplete');
    }
  }

  #beat(): void {
    this.#beating = this.#beating
      .then(() => this.#signOn())
      .catch((err: unknown) => this.logger.debug({ err }, 'API processes cannot be counted now'));
  }

  async #signOn(): Promise<void> {
    const died = (await this.database.query(
      `WITH dead AS (
         DELETE FROM api_processes WHERE seen_at < now() - make_interval(secs => $1) AND id <> $2 RETURNING *
       ) SELECT id, usage_written_at AS "usageWrittenAt", seen_at AS "seenAt" FROM dead`,
      [DEAD_AFTER_S, this.#id],
    )) as { id: string; usageWrittenAt: Date; seenAt: Date }[];
    for (const { id, usageWrittenAt, seenAt } of died) {
      this.logger.warn(
        { process: id, from: usageWrittenAt, lastSeen: seenAt },
        'an API process died: usage of its requests that ended after `from` was not written and is lost',
      );
    }
    const [row] = (await this.database.query(
      `WITH mine AS (
         INSERT INTO api_processes (id, seen_at, usage_written_at) VALUES ($1, now(), $2)
         ON CONFLICT (id) DO UPDATE SET seen_at = excluded.seen_at, usage_written_at = excluded.usage_written_at
       ) SELECT count(*)::int + 1 AS count FROM api_processes WHERE id <> $1`,
      [this.#id, this.usage.writtenAt],
    )) as { count: number }[];
    if (row) this.#count = row.count;
  }
}
