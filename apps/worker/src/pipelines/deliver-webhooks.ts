import { Inject, Injectable, type OnApplicationBootstrap, type OnModuleDestroy } from '@nestjs/common';
import { LeaseLoop } from '#pipelines/leases/lease-loop.js';
import { WebhookRun } from '#pipelines/webhooks/webhook-run.service.js';
import { WEBHOOKS_CHANNEL } from '#pipelines/webhooks/webhooks-channel.js';
import type { Logger } from '#runtime/logger.js';
import type { SettingsOf } from '#runtime/settings.js';
import { Notifications } from '#stores/postgres/notifications.js';
import { DataSource } from 'typeorm';
import type { workerSettings } from '../settings.js';
import { WORKER_LOGGER, WORKER_SETTINGS } from '../worker-tokens.js';

/** Attempts wait for receivers most of their time. */
const CONCURRENCY = 32;
/** A receiver that never answers holds at most so many of them. */
const PER_RECEIVER = 4;

/** The job that sends webhooks: each delivery when it is due, again until it succeeds or its schedule ends. */
@Injectable()
export class DeliverWebhooks implements OnApplicationBootstrap, OnModuleDestroy {
  readonly #loop: LeaseLoop;
  #unsubscribe: () => void = () => undefined;

  constructor(
    private readonly notifications: Notifications,
    run: WebhookRun,
    database: DataSource,
    @Inject(WORKER_SETTINGS) settings: SettingsOf<typeof workerSettings>,
    @Inject(WORKER_LOGGER) logger: Logger,
  ) {
    const rules = { schedule_s: settings.webhookSchedule_s, timeout_ms: settings.webhookTimeout_ms };
    this.#loop = new LeaseLoop(database, {
      work: { table: 'webhook_deliveries', fairBy: 'target_id' },
      concurrency: CONCURRENCY,
      perShare: PER_RECEIVER,
      handle: (lease, signal) => run.attempt(lease, rules, signal),
      logger,
    });
  }

  onApplicationBootstrap(): void {
    const wake = (): void => this.#loop.wake();
    this.#unsubscribe = this.notifications.subscribe(WEBHOOKS_CHANNEL, { changed: wake, missed: wake });
    this.#loop.start();
  }

  async onModuleDestroy(): Promise<void> {
    this.#unsubscribe();
    await this.#loop.close();
  }
}
