import { Inject, Injectable, type OnModuleDestroy, type OnModuleInit } from '@nestjs/common';
import type { ErrorCode } from '#contracts/errors.js';
import type { Logger } from '#runtime/logger.js';
import { newId } from '#stores/ids.js';
import { DataSource } from 'typeorm';
import { FigureBuffer } from './history/figure-buffer.js';
import { type FigureRow, writeFigures } from './history/figure-row.js';
import type { GoodputLimits } from './history/figures.js';
import { ADD_SPENDING, alertBudgets, PRICED } from './money/spending.js';
import { ACCOUNTS_LOGGER, CURRENCY, GOODPUT_LIMITS } from './settings.js';
import { UsageBuffer, type UsageRecord, type UsageSum } from './usage-buffer.js';
import { lockDays } from './usage-rollup.service.js';
import { SUM_COLUMNS } from './usage-sums.js';

export type { UsageRecord } from './usage-buffer.js';

const FLUSH_EVERY_MS = 1_000;

interface Batch {
  readonly id: string;
  readonly sums: readonly UsageSum[];
  readonly figures: readonly FigureRow[];
}

/**
 * Meters requests, for usage and for the history of the charts: added up in memory, written once a second in one
 * transaction, and never counted twice.
 */
@Injectable()
export class UsageService implements OnModuleInit, OnModuleDestroy {
  readonly #buffer = new UsageBuffer();
  readonly #figures: FigureBuffer;
  /** Taken from the buffer and perhaps written already: only its id may decide, so it is never merged with others. */
  #unsettled: Batch | undefined;
  #flushing: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #writtenAt = new Date();

  constructor(
    private readonly database: DataSource,
    @Inject(ACCOUNTS_LOGGER) private readonly logger: Logger,
    @Inject(GOODPUT_LIMITS) limits: GoodputLimits,
    @Inject(CURRENCY) private readonly currency = 'USD',
  ) {
    this.#figures = new FigureBuffer(limits);
  }

  onModuleInit(): void {
    this.#timer = setInterval(() => void this.#flushQuietly(), FLUSH_EVERY_MS);
    this.#timer.unref();
  }

  async onModuleDestroy(): Promise<void> {
    clearInterval(this.#timer);
    await this.#flushQuietly();
  }

  /** Everything that this process recorded before is in the database. */
  get writtenAt(): Date {
    return this.#writtenAt;
  }

  record(usage: UsageRecord): void {
    const now = new Date();
    this.#buffer.add(usage, now);
    this.#figures.add(usage, now);
  }

  /** Counts a request that was refused before it had a model: it is no usage, yet the charts show it. */
  recordRefusal(tenantId: string, code: ErrorCode): void {
    this.#figures.addRefusal(tenantId, code, new Date());
  }

  /** Writes what was recorded; rejects when the database is away (nothing is lost, the next flush tries again). */
  async flush(): Promise<void> {
    while (this.#flushing) await this.#flushing.catch(() => undefined);
    this.#flushing = this.#flush().finally(() => (this.#flushing = undefined));
    return this.#flushing;
  }

  /** Forgets batches too old to be sent again. */
  async prune(): Promise<void> {
    await this.database.query("DELETE FROM usage_flushes WHERE flushed_at < now() - interval '1 day'");
    await this.database.query(
      "DELETE FROM spending WHERE period = 'day' AND starts < now() - interval '400 days'",
    );
  }

  async #flushQuietly(): Promise<void> {
    try {
      await this.flush();
    } catch (err) {
      this.logger.warn({ err, sums: this.#buffer.size }, 'usage could not be written yet');
    }
  }

  async #flush(): Promise<void> {
    if (this.#unsettled) await this.#write(this.#unsettled);
    const takenAt = new Date();
    const batch = { id: newId(), sums: this.#buffer.take(), figures: this.#figures.take() };
    if (batch.figures.length > 0) await this.#write(batch);
    this.#writtenAt = takenAt;
  }

  async #write(batch: Batch): Promise<void> {
    this.#unsettled = batch;
    const days = [...new Set(batch.sums.map(({ minute }) => minute.slice(0, 10)))].sort();
    await this.database.transaction(async (manager) => {
      const sql = 'INSERT INTO usage_flushes (id) VALUES ($1) ON CONFLICT DO NOTHING RETURNING id';
      const inserted = (await manager.query(sql, [batch.id])) as unknown[];
      if (inserted.length === 0) return;
      await lockDays(manager, days, 'shared');
      await manager.query(ADD_SUMS, [JSON.stringify(batch.sums)]);
      await manager.query(NOTE_DAYS, [days]);
      await manager.query(UNROLL_DAYS, [days]);
      await writeFigures(manager, batch.figures);
      await alertBudgets(manager, batch.sums, this.currency);
    });
    this.#unsettled = undefined;
  }
}

const COLUMNS = [
  'tenant_id',
  'minute',
  'key_id',
  'served',
  'adapter_id',
  'adapter',
  'version',
  ...SUM_COLUMNS,
];

const ADD_SUMS = `
  WITH priced AS (${PRICED}), added AS (
    INSERT INTO usage_minutes (${COLUMNS.join(', ')})
    SELECT ${COLUMNS.map((name) => (name === 'cost' ? 'price' : name)).join(', ')} FROM priced
    ON CONFLICT (tenant_id, minute, key_id, served) DO UPDATE SET
      ${SUM_COLUMNS.map((column) => `${column} = usage_minutes.${column} + excluded.${column}`).join(', ')}
  ), served AS (
    INSERT INTO served_versions (served, last_served_at)
    SELECT DISTINCT unnest(string_to_array(served, '+')) AS key, now() FROM priced WHERE served <> 'base' ORDER BY key
    ON CONFLICT (served) DO UPDATE SET last_served_at = excluded.last_served_at
  ) ${ADD_SPENDING}`;

const NOTE_DAYS = 'INSERT INTO usage_rollups (day) SELECT unnest($1::date[]) ON CONFLICT (day) DO NOTHING';

/** A minute that comes after its day was rolled up. */
const UNROLL_DAYS =
  'UPDATE usage_rollups SET rolled_at = NULL WHERE day = ANY($1::date[]) AND rolled_at IS NOT NULL';
