import { Inject, Injectable, type OnModuleDestroy, type OnModuleInit } from '@nestjs/common';
import type { PutRequestLog, RequestLogResource } from '#contracts/request-log-api.js';
import type { Logger } from '#runtime/logger.js';
import { AuditLog } from '#stores/audit/audit-log.service.js';
import { Notifications } from '#stores/postgres/notifications.js';
import { DataSource } from 'typeorm';
import { ACCOUNTS_LOGGER } from '../settings.js';

const CHANNEL = 'lorikeet_request_log';
/** Beside what is heard at once: should a notice be missed. */
const READ_EVERY_MS = 15_000;
const OFF: RequestLogResource = { object: 'request_log', enabled: false, text: false, retention_hours: 168 };

/** Which tenants want their requests kept, known on every request without asking the database. */
@Injectable()
export class RequestLogSettings implements OnModuleInit, OnModuleDestroy {
  #kept: ReadonlyMap<string, { readonly text: boolean }> = new Map();
  #unsubscribe: () => void = () => undefined;
  #timer: NodeJS.Timeout | undefined;
  /** Reads go one after another, so that an old answer never replaces a newer one. */
  #reading: Promise<void> = Promise.resolve();

  constructor(
    private readonly database: DataSource,
    private readonly notifications: Notifications,
    @Inject(ACCOUNTS_LOGGER) private readonly logger: Logger,
  ) {}

  async onModuleInit(): Promise<void> {
    const read = () => void this.#readNext();
    this.#unsubscribe = this.notifications.subscribe(CHANNEL, { changed: read, missed: read });
    this.#timer = setInterval(read, READ_EVERY_MS).unref();
    await this.#readNext();
  }

  async onModuleDestroy(): Promise<void> {
    this.#unsubscribe();
    clearInterval(this.#timer);
    await this.#reading;
  }

  /** Undefined: nothing of the tenant is kept. */
  of(tenantId: string): { readonly text: boolean } | undefined {
    return this.#kept.get(tenantId);
  }

  async get(tenantId: string): Promise<RequestLogResource> {
    const [row] = await this.database.query<Omit<RequestLogResource, 'object'>[]>(
      'SELECT enabled, text, retention_hours FROM request_log_settings WHERE tenant_id = $1',
      [tenantId],
    );
    return row ? { ...OFF, ...row } : OFF;
  }

  /** Who no longer wants text kept has what was kept erased in the same moment. */
  async put(
    tenantId: string,
    { enabled, text, retention_hours }: PutRequestLog,
  ): Promise<RequestLogResource> {
    await this.database.transaction(async (manager) => {
      const [before = OFF] = await manager.query<object[]>(
        'SELECT enabled, text, retention_hours FROM request_log_settings WHERE tenant_id = $1 FOR UPDATE',
        [tenantId],
      );
      await manager.query(PUT, [tenantId, enabled, text, retention_hours]);
      if (!text) {
        await manager.query(
          'UPDATE logged_requests SET input = NULL, outputs = NULL WHERE tenant_id = $1 AND (input IS NOT NULL OR outputs IS NOT NULL)',
          [tenantId],
        );
      }
      await AuditLog.record(manager, {
        tenantId,
        action: 'request_log.put',
        subject: { type: 'request_log', id: tenantId },
        before,
        after: { enabled, text, retention_hours },
      });
      await Notifications.publish(manager, CHANNEL, tenantId);
    });
    await this.#readNext();
    return this.get(tenantId);
  }

  #readNext(): Promise<void> {
    this.#reading = this.#reading.then(() => this.#read());
    return this.#reading;
  }

  /** While PostgreSQL is away, what was known holds. */
  async #read(): Promise<void> {
    try {
      const rows = await this.database.query<{ id: string; text: boolean }[]>(
        'SELECT tenant_id AS id, text FROM request_log_settings WHERE enabled',
      );
      this.#kept = new Map(rows.map(({ id, text }) => [id, { text }]));
    } catch (err) {
      this.logger.debug({ err }, 'settings of request logs could not be read; it is tried again');
    }
  }
}

const PUT = `
  INSERT INTO request_log_settings (tenant_id, enabled, text, retention_hours) VALUES ($1, $2, $3, $4)
  ON CONFLICT (tenant_id) DO UPDATE SET
    enabled = excluded.enabled, text = excluded.text, retention_hours = excluded.retention_hours`;
