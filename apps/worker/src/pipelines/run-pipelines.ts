import { Inject, Injectable, type OnApplicationBootstrap, type OnModuleDestroy } from '@nestjs/common';
import { ADAPTERS_CHANNEL, parseChange } from '#adapters/registry/adapter-changes.js';
import { HOOKS_CHANNEL } from '#pipelines/hooks/inbound-events.service.js';
import { PipelineRun } from '#pipelines/hooks/pipeline-run.service.js';
import { LeaseLoop } from '#pipelines/leases/lease-loop.js';
import type { Logger } from '#runtime/logger.js';
import { Notifications } from '#stores/postgres/notifications.js';
import { DataSource } from 'typeorm';
import { WORKER_LOGGER } from '../worker-tokens.js';

/** An evaluation holds one of these for as long as it asks. */
const CONCURRENCY = 8;
const PER_TENANT = 4;

/** The job that makes versions of what fine-tune pipelines announce, and promotes them where their hook says so. */
@Injectable()
export class RunPipelines implements OnApplicationBootstrap, OnModuleDestroy {
  readonly #loop: LeaseLoop;
  #unsubscribe: (() => void)[] = [];

  constructor(
    private readonly notifications: Notifications,
    private readonly run: PipelineRun,
    database: DataSource,
    @Inject(WORKER_LOGGER) private readonly logger: Logger,
  ) {
    this.#loop = new LeaseLoop(database, {
      work: { table: 'hook_deliveries', fairBy: 'tenant_id' },
      concurrency: CONCURRENCY,
      perShare: PER_TENANT,
      handle: (lease, signal) => run.step(lease, signal),
      logger,
    });
  }

  onApplicationBootstrap(): void {
    const wake = (): void => this.#loop.wake();
    this.#unsubscribe = [
      this.notifications.subscribe(HOOKS_CHANNEL, { changed: wake, missed: wake }),
      this.notifications.subscribe(ADAPTERS_CHANNEL, {
        changed: (payload) => void this.#versionChanged(parseChange(payload).version),
        missed: wake,
      }),
    ];
    this.#loop.start();
  }

  async onModuleDestroy(): Promise<void> {
    for (const unsubscribe of this.#unsubscribe) unsubscribe();
    await this.#loop.close();
  }

  /** Whoever waits for the version looks at it now, not after its pause. */
  async #versionChanged(versionId: string | undefined): Promise<void> {
    if (versionId === undefined) return;
    try {
      if (await this.run.hasten(versionId)) this.#loop.wake();
    } catch (err) {
      this.logger.warn({ err, versionId }, 'a pipeline finds its version a little later');
    }
  }
}
