import { setTimeout as sleep } from 'node:timers/promises';
import { Inject, Injectable, type OnApplicationBootstrap, type OnModuleDestroy } from '@nestjs/common';
import { Bell } from '#pipelines/leases/bell.js';
import { EventFanOut } from '#pipelines/webhooks/event-fan-out.service.js';
import type { Logger } from '#runtime/logger.js';
import type { SettingsOf } from '#runtime/settings.js';
import { OUTBOX_CHANNEL } from '#stores/outbox/outbox.service.js';
import { Notifications } from '#stores/postgres/notifications.js';
import type { workerSettings } from '../settings.js';
import { WORKER_LOGGER, WORKER_SETTINGS } from '../worker-tokens.js';

/** Should a notification be missed, waiting events are found after this long. */
const LOOK_EVERY_MS = 1_000;
const AWAY_PAUSE_MS = 2_000;
const PRUNE_EVERY_MS = 3600_000;

/** Hands the events of the outbox on to the webhook endpoints that want them. */
@Injectable()
export class DispatchEvents implements OnApplicationBootstrap, OnModuleDestroy {
  readonly #bell = new Bell();
  readonly #closing = new AbortController();
  #running: Promise<void> = Promise.resolve();
  #unsubscribe: () => void = () => undefined;
  #prunedAt_ms = 0;

  constructor(
    private readonly fanOut: EventFanOut,
    private readonly notifications: Notifications,
    @Inject(WORKER_SETTINGS) private readonly settings: SettingsOf<typeof workerSettings>,
    @Inject(WORKER_LOGGER) private readonly logger: Logger,
  ) {}

  onApplicationBootstrap(): void {
    const ring = (): void => this.#bell.ring();
    this.#unsubscribe = this.notifications.subscribe(OUTBOX_CHANNEL, { changed: ring, missed: ring });
    this.#running = this.#run();
  }

  async onModuleDestroy(): Promise<void> {
    this.#unsubscribe();
    this.#closing.abort();
    this.#bell.ring();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { signal } = this.#closing;
    while (!signal.aborted) {
      try {
        if ((await this.fanOut.run()) > 0) continue;
        await this.#prune();
        await this.#bell.wait(LOOK_EVERY_MS);
      } catch (err) {
        if (signal.aborted) return;
        this.logger.warn({ err }, 'events could not be handed on; trying again');
        await sleep(AWAY_PAUSE_MS, undefined, { signal }).catch(() => undefined);
      }
    }
  }

  async #prune(): Promise<void> {
    const now = new Date();
    if (now.getTime() - this.#prunedAt_ms < PRUNE_EVERY_MS) return;
    this.#prunedAt_ms = now.getTime();
    const { webhookRetention_days: outgoing_days, hookRetention_days: incoming_days } = this.settings;
    await this.fanOut.prune(now, { outgoing_days, incoming_days }, this.#closing.signal);
  }
}
