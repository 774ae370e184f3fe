import { type DynamicModule, Module, type OnApplicationShutdown } from '@nestjs/common';
import type { Logger } from '#runtime/logger.js';
import type { SettingsOf } from '#runtime/settings.js';
import { DataSource, type MigrationInterface } from 'typeorm';
import { AuditEntry } from './audit/audit-entry.entity.js';
import { AuditLog } from './audit/audit-log.service.js';
import { openBlobStore } from './blobs/open-blob-store.js';
import { IdempotencyKey } from './idempotency/idempotency-key.entity.js';
import { IdempotencyKeys } from './idempotency/idempotency-keys.service.js';
import { MaintenanceRow } from './maintenance/maintenance.entity.js';
import { connect, type EntityClass, makeDataSource } from './postgres/data-source.js';
import { OutboxEvent } from './outbox/outbox-event.entity.js';
import { OutboxService } from './outbox/outbox.service.js';
import { Notifications } from './postgres/notifications.js';
import { BullQueues } from './queue/bull-queues.js';
import { makeRedis } from './redis/redis-connection.js';
import type { storesSettings } from './settings.js';

/** Tables that no other library owns; every process that uses a database has them. */
export const storesEntities = [OutboxEvent, AuditEntry, MaintenanceRow, IdempotencyKey];

/** Injection tokens of what has no class of its own. */
export const BLOBS = Symbol('BLOBS');
export const QUEUES = Symbol('QUEUES');
/** A Redis of ioredis that is not connected yet; undefined without REDIS_URL. */
export const REDIS = Symbol('REDIS');

const DATABASE_PATIENCE_MS = 30_000;

export interface StoresOptions {
  readonly settings: SettingsOf<typeof storesSettings>;
  /** The entities of every library that this process uses. */
  readonly entities: readonly EntityClass[];
  readonly migrations?: readonly (new () => MigrationInterface)[];
  readonly logger: Logger;
}

/** Closes the connections after everything that uses them has shut down. */
class StoresShutdown implements OnApplicationShutdown {
  constructor(
    private readonly database: DataSource,
    private readonly notifications: Notifications,
  ) {}

  async onApplicationShutdown(): Promise<void> {
    await this.notifications.close();
    if (this.database.isInitialized) await this.database.destroy();
  }
}

@Module({})
export class StoresModule {
  /** Global: provides DataSource, Notifications, OutboxService, AuditLog, BLOBS (BlobStore), QUEUES (Queues) and REDIS. */
  static forRoot({ settings, logger, ...rest }: StoresOptions): DynamicModule {
    const {
      databaseUrl,
      databasePoolSize: poolSize,
      databaseStatement_ms: statement_ms,
      redisUrl,
    } = settings;
    const entities = [...storesEntities, ...rest.entities];
    return {
      module: StoresModule,
      global: true,
      providers: [
        {
          provide: DataSource,
          useFactory: () =>
            connect(
              makeDataSource({ url: databaseUrl, poolSize, statement_ms, logger, ...rest, entities }),
              logger,
              DATABASE_PATIENCE_MS,
            ),
        },
        {
          provide: Notifications,
          useFactory: () => {
            const notifications = new Notifications(databaseUrl, logger);
            notifications.start();
            return notifications;
          },
        },
        OutboxService,
        AuditLog,
        IdempotencyKeys,
        { provide: BLOBS, useFactory: () => openBlobStore(settings) },
        {
          provide: REDIS,
          useFactory: () => (redisUrl === undefined ? undefined : makeRedis(redisUrl, logger)),
        },
        { provide: QUEUES, useFactory: () => new BullQueues({ redisUrl, databaseUrl, logger }) },
        {
          provide: StoresShutdown,
          inject: [DataSource, Notifications],
          useFactory: (database: DataSource, notifications: Notifications) =>
            new StoresShutdown(database, notifications),
        },
      ],
      exports: [DataSource, Notifications, OutboxService, AuditLog, IdempotencyKeys, BLOBS, QUEUES, REDIS],
    };
  }
}
