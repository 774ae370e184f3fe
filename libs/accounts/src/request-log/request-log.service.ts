import { Inject, Injectable, type OnModuleDestroy, type OnModuleInit } from '@nestjs/common';
import type { LoggedRequest, LoggedRequestsQuery } from '#contracts/request-log-api.js';
import { type List, listPage } from '#contracts/resource.js';
import { AppError } from '#runtime/app-error.js';
import type { Logger } from '#runtime/logger.js';
import { AuditLog } from '#stores/audit/audit-log.service.js';
import { isId, newId } from '#stores/ids.js';
import { DataSource } from 'typeorm';
import { ACCOUNTS_LOGGER } from '../settings.js';
import { unknownCursor } from '../tenants.service.js';

const FLUSH_EVERY_MS = 1_000;
/** Requests, and bytes of their text, that wait for PostgreSQL; what is more is not kept. */
const MOST_WAITING = 5_000;
const MOST_WAITING_BYTES = 32 * 2 ** 20;
const BATCH = 200;

/** A request that ended; named as the columns. */
export type NewLoggedRequest = Omit<LoggedRequest, 'id' | 'object' | 'created_at'> & {
  readonly tenant_id: string;
};

interface Row extends Omit<LoggedRequest, 'object' | 'created_at'> {
  readonly created_at: Date;
}

/** Requests of tenants that want them kept: written once a second, read newest first, and never in a log. */
@Injectable()
export class RequestLog implements OnModuleInit, OnModuleDestroy {
  #waiting: { readonly json: string }[] = [];
  #waitingBytes = 0;
  #dropped = 0;
  #timer: NodeJS.Timeout | undefined;
  #flushing: Promise<void> = Promise.resolve();

  constructor(
    private readonly database: DataSource,
    @Inject(ACCOUNTS_LOGGER) private readonly logger: Logger,
  ) {}

  onModuleInit(): void {
    this.#timer = setInterval(() => void this.flush().catch(() => undefined), FLUSH_EVERY_MS).unref();
  }

  async onModuleDestroy(): Promise<void> {
    clearInterval(this.#timer);
    await this.flush().catch(() => undefined);
  }

  add(request: NewLoggedRequest): void {
    const json = storableJson({ ...request, id: newId(), created_at: new Date().toISOString() });
    if (this.#waiting.length >= MOST_WAITING || this.#waitingBytes + json.length > MOST_WAITING_BYTES) {
      this.#dropped += 1;
      return;
    }
    this.#waiting.push({ json });
    this.#waitingBytes += json.length;
  }

  /** Writes what waits; rejects when the database is away (it goes on waiting then). */
  flush(): Promise<void> {
    this.#flushing = this.#flushing.catch(() => undefined).then(() => this.#flush());
    return this.#flushing;
  }

  async list(
    tenantId: string,
    { limit, after, model, failed }: LoggedRequestsQuery,
  ): Promise<List<LoggedRequest>> {
    if (after !== undefined && !isId(after)) throw unknownCursor();
    await this.flush();
    const fails = failed === undefined ? null : failed === 'true';
    const rows = await this.database.query<Row[]>(
      `SELECT ${LISTED} FROM logged_requests
       WHERE tenant_id = $1 AND ($2::uuid IS NULL OR id < $2) AND ($3::text IS NULL OR model = $3)
         AND ($4::boolean IS NULL OR (code IS NOT NULL) = $4)
       ORDER BY id DESC LIMIT $5`,
      [tenantId, after ?? null, model ?? null, fails, limit + 1],
    );
    return listPage(rows.map(resource), limit);
  }

  async get(tenantId: string, id: string): Promise<LoggedRequest> {
    const [row] = isId(id)
      ? await this.database.query<Row[]>(
          `SELECT ${SHOWN} FROM logged_requests WHERE tenant_id = $1 AND id = $2`,
          [tenantId, id],
        )
      : [];
    if (!row) throw new AppError('not_found', { message: 'There is no such request.' });
    return resource(row);
  }

  /** Returns how many there were. */
  async clear(tenantId: string): Promise<number> {
    await this.flush();
    return this.database.transaction(async (manager) => {
      const [, gone] = await manager.query<[rows: unknown[], gone: number]>(
        'DELETE FROM logged_requests WHERE tenant_id = $1',
        [tenantId],
      );
      await AuditLog.record(manager, {
        tenantId,
        action: 'request_log.clear',
        subject: { type: 'request_log', id: tenantId },
        before: { requests: gone },
      });
      return gone;
    });
  }

  async #flush(): Promise<void> {
    if (this.#dropped > 0)
      this.logger.warn({ requests: this.#dropped }, 'requests were not kept: too many wait');
    this.#dropped = 0;
    while (this.#waiting.length > 0) {
      const batch = this.#waiting.slice(0, BATCH);
      await this.#write(batch.map(({ json }) => json));
      this.#waiting = this.#waiting.slice(batch.length);
      this.#waitingBytes -= batch.reduce((sum, { json }) => sum + json.length, 0);
    }
  }

  /** Text must not come into a log by way of an error: only its code is told. */
  async #write(batch: readonly string[]): Promise<void> {
    try {
      await this.database.query(ADD, [`[${batch.join(',')}]`]);
    } catch (error) {
      const { code } = error as { code?: string };
      this.logger.warn({ code, requests: batch.length }, 'requests could not be kept yet');
      throw new AppError('dependency_unavailable');
    }
  }
}

/** JSON that PostgreSQL takes: it knows neither U+0000 nor halves of surrogate pairs. */
function storableJson(value: object): string {
  return JSON.stringify(value, (_, member: unknown) =>
    typeof member === 'string' ? member.replace(/[\p{Cs}\0]/gu, '\uFFFD') : member,
  );
}

function resource({ created_at, ...row }: Row): LoggedRequest {
  return { object: 'request', ...row, created_at: created_at.toISOString() };
}

const COLUMNS = [
  'id',
  'created_at',
  'request_id',
  'key_id',
  'model',
  'adapter',
  'version',
  'kind',
  'code',
  'finish_reason',
  'prompt_tokens',
  'cached_tokens',
  'completion_tokens',
  'queue_ms',
  'ttft_ms',
  'tpot_ms',
  'total_ms',
];
const SHOWN = [...COLUMNS, 'input', 'outputs', 'text_cut'].join(', ');
/** Lists have no text: a page of it could be large. */
const LISTED = [...COLUMNS, 'NULL AS input', 'NULL AS outputs', 'text_cut'].join(', ');
/** What the tenant no longer wants kept is left out, also where it waited meanwhile. */
const ADD = `
  INSERT INTO logged_requests (tenant_id, ${SHOWN})
  SELECT tenant_id, ${COLUMNS.map((name) => `row.${name}`).join(', ')},
    CASE WHEN settings.text THEN row.input END, CASE WHEN settings.text THEN row.outputs END, row.text_cut
  FROM jsonb_populate_recordset(NULL::logged_requests, $1::jsonb) row
  JOIN request_log_settings settings USING (tenant_id)
  WHERE settings.enabled
  ON CONFLICT DO NOTHING`;
