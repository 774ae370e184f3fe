import { Inject, Injectable, type OnApplicationBootstrap, type OnModuleDestroy } from '@nestjs/common';
import { BaseMoveStates } from '#adapters/base-moves/base-move-states.service.js';
import { MOVES_CHANNEL } from '#adapters/base-moves/moves-channel.js';
import { ADAPTERS_CHANNEL, parseChange } from '#adapters/registry/adapter-changes.js';
import { LeaseLoop } from '#pipelines/leases/lease-loop.js';
import type { Logger } from '#runtime/logger.js';
import { Notifications } from '#stores/postgres/notifications.js';
import { DataSource } from 'typeorm';
import { WORKER_LOGGER } from '../worker-tokens.js';
import { MoveStep } from './move-step.service.js';

/** An evaluation holds one of these for as long as it asks. */
const CONCURRENCY = 8;
const PER_TENANT = 4;

/** The job that decides, version by version, what of a tenant answers on a new base. */
@Injectable()
export class RunBaseMoves implements OnApplicationBootstrap, OnModuleDestroy {
  readonly #loop: LeaseLoop;
  #unsubscribe: (() => void)[] = [];

  constructor(
    private readonly notifications: Notifications,
    private readonly states: BaseMoveStates,
    step: MoveStep,
    database: DataSource,
    @Inject(WORKER_LOGGER) private readonly logger: Logger,
  ) {
    this.#loop = new LeaseLoop(database, {
      work: { table: 'base_move_versions', fairBy: 'tenant_id' },
      concurrency: CONCURRENCY,
      perShare: PER_TENANT,
      handle: (lease, signal) => step.step(lease, signal),
      logger,
    });
  }

  onApplicationBootstrap(): void {
    const wake = (): void => this.#loop.wake();
    this.#unsubscribe = [
      this.notifications.subscribe(MOVES_CHANNEL, { changed: wake, missed: wake }),
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

  /** Whoever waits for the version's validation looks at it now, not after its pause. */
  async #versionChanged(versionId: string | undefined): Promise<void> {
    if (versionId === undefined) return;
    try {
      if (await this.states.hasten(versionId)) this.#loop.wake();
    } catch (err) {
      this.logger.warn({ err, versionId }, 'a move finds its version a little later');
    }
  }
}
