import { Inject, Injectable, type OnModuleDestroy, type OnModuleInit } from '@nestjs/common';
import type { UsageGroup, UsageList, UsageQuery, UsageRow } from '#contracts/usage-api.js';
import { AppError } from '#runtime/app-error.js';
import type { Logger } from '#runtime/logger.js';
import { newId } from '#stores/ids.js';
import { DataSource } from 'typeorm';
import { ACCOUNTS_LOGGER } from './settings.js';
import { UsageBuffer, type UsageRecord, type UsageSum } from './usage-buffer.js';

export type { UsageRecord } from './usage-buffer.js';

const FLUSH_EVERY_MS = 1_000;
const DAY_MS = 86_400_000;
const DEFAULT_RANGE_MS = 30 * DAY_MS;

interface Batch {
  readonly id: string;
  readonly sums: readonly UsageSum[];
}

/** Meters requests: added up in memory, written once a second, and never counted twice. */
@Injectable()
export class UsageService implements OnModuleInit, OnModuleDestroy {
  readonly #buffer = new UsageBuffer();
  /** Taken from the buffer and perhaps written already: only its id may decide, so it is never merged with others. */
  #unsettled: Batch | undefined;
  #flushing: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(
    private readonly database: DataSource,
    @Inject(ACCOUNTS_LOGGER) private readonly logger: Logger,
  ) {}

  onModuleInit(): void {
    this.#timer = setInterval(() => void this.#flushQuietly(), FLUSH_EVERY_MS);
    this.#timer.unref();
  }

  async onModuleDestroy(): Promise<void> {
    clearInterval(this.#timer);
    await this.#flushQuietly();
  }

  record(usage: UsageRecord): void {
    this.#buffer.add(usage, new Date());
  }

  /** Writes what was recorded; rejects when the database is away (nothing is lost, the next flush tries again). */
  async flush(): Promise<void> {
    while (this.#flushing) await this.#flushing.catch(() => undefined);
    this.#flushing = this.#flush().finally(() => (this.#flushing = undefined));
    return this.#flushing;
  }

  async query(tenantId: string, query: UsageQuery): Promise<UsageList> {
    await this.flush();
    const to = query.to === undefined ? new Date() : new Date(query.to);
    const from = query.from === undefined ? new Date(to.getTime() - DEFAULT_RANGE_MS) : new Date(query.from);
    if (from > to)
      throw new AppError('invalid_request', { message: '`from` is later than `to`.', param: 'from' });
    const groups = new Set((query.group_by?.split(',') ?? []) as UsageGroup[]);
    if (groups.has('version')) groups.add('adapter'); // a version's number says nothing without its adapter
    const rows = (await this.database.query(usageSql(groups), [tenantId, from, to])) as UsageRow[];
    const range = { from: from.toISOString(), to: to.toISOString() };
    return { object: 'list', data: rows, has_more: false, last_id: null, ...range };
  }

  /** Forgets batches too old to be sent again. */
  async prune(): Promise<void> {
    await this.database.query("DELETE FROM usage_flushes WHERE flushed_at < now() - interval '1 day'");
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
    const sums = this.#buffer.take();
    if (sums.length > 0) await this.#write({ id: newId(), sums });
  }

  async #write(batch: Batch): Promise<void> {
    this.#unsettled = batch;
    await this.database.transaction(async (manager) => {
      const sql = 'INSERT INTO usage_flushes (id) VALUES ($1) ON CONFLICT DO NOTHING RETURNING id';
      const inserted = (await manager.query(sql, [batch.id])) as unknown[];
      if (inserted.length > 0) await manager.query(ADD_SUMS, [JSON.stringify(batch.sums)]);
    });
    this.#unsettled = undefined;
  }
}

const SUMS = [
  'requests',
  'prompt_tokens',
  'cached_tokens',
  'completion_tokens',
  'errors',
  'first_tokens',
  'ttft_ms',
  'total_ms',
];

const ADD_SUMS = `
  INSERT INTO usage_minutes
  SELECT * FROM jsonb_populate_recordset(NULL::usage_minutes, $1::jsonb)
  ON CONFLICT (tenant_id, minute, key_id, served) DO UPDATE SET
    ${SUMS.map((column) => `${column} = usage_minutes.${column} + excluded.${column}`).join(', ')}`;

const GROUP_SQL: Readonly<Record<UsageGroup, string>> = {
  adapter: 'adapter',
  version: 'version',
  day: "to_char(minute AT TIME ZONE 'UTC', 'YYYY-MM-DD')",
};

/** Sums per group; float8 holds every count that we shall ever reach exactly, and arrives as a number. */
function usageSql(groups: ReadonlySet<UsageGroup>): string {
  const keys = (['day', 'adapter', 'version'] as const).filter((group) => groups.has(group));
  const columns = [
    ...keys.map((group) => `${GROUP_SQL[group]} AS ${group}`),
    ...SUMS.slice(0, 5).map((column) => `coalesce(sum(${column}), 0)::float8 AS ${column}`),
  ];
  const order = keys.map((_, index) => index + 1).join(', ');
  return `SELECT ${columns.join(', ')} FROM usage_minutes
    WHERE tenant_id = $1 AND minute >= $2 AND minute < $3
    ${order && `GROUP BY ${order} ORDER BY ${order}`}`;
}
