import { Inject, Injectable, type OnApplicationBootstrap, type OnModuleDestroy } from '@nestjs/common';
import { UsageRollup } from '#accounts/usage-rollup.service.js';
import type { Logger } from '#runtime/logger.js';
import { JobMetrics } from './observe/job-metrics.js';
import { WORKER_LOGGER } from './worker-tokens.js';

const EVERY_MS = 5 * 60_000;

/** Rolls usage up by day; several workers may do it at once, and a crash leaves a day to the next time. */
@Injectable()
export class RollUpUsage implements OnApplicationBootstrap, OnModuleDestroy {
  readonly #closing = new AbortController();
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> = Promise.resolve();

  constructor(
    private readonly rollup: UsageRollup,
    @Inject(WORKER_LOGGER) private readonly logger: Logger,
    private readonly metrics: JobMetrics,
  ) {}

  onApplicationBootstrap(): void {
    const run = (): void => {
      this.#running = this.#running.then(() => this.#roll());
    };
    run();
    this.#timer = setInterval(run, EVERY_MS);
  }

  async onModuleDestroy(): Promise<void> {
    this.#closing.abort();
    clearInterval(this.#timer);
    await this.#running;
  }

  async #roll(): Promise<void> {
    try {
      const days = await this.metrics.task('roll up usage', () => this.rollup.rollUp(this.#closing.signal));
      if (days.length > 0) this.logger.info({ days }, 'usage was rolled up by day');
    } catch (err) {
      this.logger.warn({ err }, 'usage could not be rolled up; it is tried again');
    }
  }
}
