import { Inject, Injectable, type OnApplicationBootstrap, type OnModuleDestroy } from '@nestjs/common';
import { BATCHES_CHANNEL } from '#batches/batches-channel.js';
import { LeaseLoop } from '#pipelines/leases/lease-loop.js';
import type { Logger } from '#runtime/logger.js';
import { Notifications } from '#stores/postgres/notifications.js';
import { DataSource } from 'typeorm';
import { WORKER_LOGGER } from '../worker-tokens.js';
import { BatchRun } from './batch-run.service.js';

/** Batches wait most of their time: their lines share the slots of their tenant. */
const CONCURRENCY = 64;
const PER_TENANT = 4;

/** The job that carries out batches of requests. */
@Injectable()
export class RunBatches implements OnApplicationBootstrap, OnModuleDestroy {
  readonly #loop: LeaseLoop;
  #unsubscribe: () => void = () => undefined;

  constructor(
    private readonly notifications: Notifications,
    private readonly run: BatchRun,
    database: DataSource,
    @Inject(WORKER_LOGGER) private readonly logger: Logger,
  ) {
    this.#loop = new LeaseLoop(database, {
      work: { table: 'batches', fairBy: 'tenant_id' },
      concurrency: CONCURRENCY,
      perShare: PER_TENANT,
      handle: (lease, signal) => run.step(lease, signal),
      logger,
    });
  }

  onApplicationBootstrap(): void {
    this.#unsubscribe = this.notifications.subscribe(BATCHES_CHANNEL, {
      changed: (id) => this.#heard(id),
      missed: () => this.#heard(),
    });
    this.#loop.start();
  }

  async onModuleDestroy(): Promise<void> {
    this.#unsubscribe();
    await this.#loop.close();
  }

  #heard(id?: string): void {
    this.#loop.wake();
    this.run.heard(id).catch((err: unknown) => {
      this.logger.warn({ err, batch: id }, 'a batch may hear later that it was cancelled');
    });
  }
}
