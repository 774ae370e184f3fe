import { Inject, Injectable, type OnApplicationBootstrap, type OnModuleDestroy } from '@nestjs/common';
import { MERGES_CHANNEL } from '#adapters/merges/merges.service.js';
import { LeaseLoop } from '#pipelines/leases/lease-loop.js';
import type { Logger } from '#runtime/logger.js';
import { Notifications } from '#stores/postgres/notifications.js';
import { DataSource } from 'typeorm';
import { WORKER_LOGGER } from '../worker-tokens.js';
import { MergeStep } from './merge-step.service.js';

/** A merge reads and writes a whole checkpoint: the disk gains nothing from two at once. */
const CONCURRENCY = 1;

/** The job that merges versions into the base's weights, one after another, tenants by turns. */
@Injectable()
export class RunMerges implements OnApplicationBootstrap, OnModuleDestroy {
  readonly #loop: LeaseLoop;
  #unsubscribe: () => void = () => undefined;

  constructor(
    private readonly notifications: Notifications,
    private readonly step: MergeStep,
    database: DataSource,
    @Inject(WORKER_LOGGER) private readonly logger: Logger,
  ) {
    this.#loop = new LeaseLoop(database, {
      work: { table: 'merges', fairBy: 'tenant_id' },
      concurrency: CONCURRENCY,
      perShare: CONCURRENCY,
      handle: (lease, signal) => step.step(lease, signal),
      logger,
    });
  }

  async onApplicationBootstrap(): Promise<void> {
    await this.step
      .sweep()
      .catch((err: unknown) => this.logger.warn({ err }, 'what killed merges left behind stays for now'));
    const wake = (): void => this.#loop.wake();
    this.#unsubscribe = this.notifications.subscribe(MERGES_CHANNEL, { changed: wake, missed: wake });
    this.#loop.start();
  }

  async onModuleDestroy(): Promise<void> {
    this.#unsubscribe();
    await this.#loop.close();
  }
}
