import { Injectable, type OnApplicationShutdown, type OnModuleInit } from '@nestjs/common';
import {
  MAINTENANCE_TEXT,
  type MaintenanceResource,
  type PutMaintenance,
} from '#contracts/maintenance-api.js';
import { DataSource, type EntityManager } from 'typeorm';
import { AuditLog } from '../audit/audit-log.service.js';
import { Notifications } from '../postgres/notifications.js';
import { MaintenanceRow } from './maintenance.entity.js';

const CHANNEL = 'lorikeet_maintenance';
const ROW_ID = 1;
const NEVER: MaintenanceResource = {
  object: 'maintenance',
  enabled: false,
  message: MAINTENANCE_TEXT,
  retry_after_s: 60,
  changed_at: null,
};

/** Maintenance mode, the same in every process: each knows it without asking and hears of a change at once. */
@Injectable()
export class MaintenanceService implements OnModuleInit, OnApplicationShutdown {
  #current = NEVER;
  #unsubscribe: () => void = () => undefined;
  /** Reads go one after another, so that an old answer never replaces a newer one. */
  #reading: Promise<void> = Promise.resolve();

  constructor(
    private readonly database: DataSource,
    private readonly notifications: Notifications,
  ) {}

  async onModuleInit(): Promise<void> {
    this.#unsubscribe = this.notifications.subscribe(CHANNEL, {
      changed: () => void this.#readAgain(),
      missed: () => void this.#readAgain(),
    });
    await this.#readAgain();
  }

  onApplicationShutdown(): void {
    this.#unsubscribe();
  }

  /** As this process last heard; while PostgreSQL is away that stays as it was. */
  get current(): MaintenanceResource {
    return this.#current;
  }

  async put(body: PutMaintenance): Promise<MaintenanceResource> {
    const after = await this.database.transaction(async (manager) => {
      await manager.query('LOCK TABLE maintenance IN SHARE ROW EXCLUSIVE MODE');
      const before = await readState(manager);
      const { enabled, message, retry_after_s: retryAfter_s } = body;
      const same = before.enabled === enabled && before.changed_at !== null;
      const changedAt = same ? new Date(before.changed_at ?? '') : new Date();
      const row = { id: ROW_ID, enabled, message, retryAfter_s, changedAt } as const;
      await manager.upsert(MaintenanceRow, row, ['id']);
      const after = toResource(row);
      const subject = { type: 'maintenance', id: 'maintenance' };
      await AuditLog.record(manager, { action: 'maintenance.set', subject, before, after });
      await Notifications.publish(manager, CHANNEL, '');
      return after;
    });
    await this.#readAgain();
    return after;
  }

  #readAgain(): Promise<void> {
    // A failed read is made up for by the `missed` of the next connection.
    this.#reading = this.#reading.then(() => this.#read()).catch(() => undefined);
    return this.#reading;
  }

  async #read(): Promise<void> {
    this.#current = await readState(this.database.manager);
  }
}

async function readState(manager: EntityManager): Promise<MaintenanceResource> {
  const row = await manager.findOne(MaintenanceRow, { where: { id: ROW_ID } });
  return row ? toResource(row) : NEVER;
}

function toResource({ enabled, message, retryAfter_s, changedAt }: MaintenanceRow): MaintenanceResource {
  return {
    object: 'maintenance',
    enabled,
    message,
    retry_after_s: retryAfter_s,
    changed_at: changedAt.toISOString(),
  };
}
