import { Inject, Injectable, type OnApplicationBootstrap, type OnModuleDestroy } from '@nestjs/common';
import { BlobLedger } from '#adapters/blobs/blob-ledger.service.js';
import type { ReleasedFile } from '#adapters/blobs/released-file.entity.js';
import { EngineFleet } from '#fleet/engine-fleet.js';
import type { Logger } from '#runtime/logger.js';
import type { SettingsOf } from '#runtime/settings.js';
import type { workerSettings } from './settings.js';
import { JobMetrics } from './observe/job-metrics.js';
import { WORKER_LOGGER, WORKER_SETTINGS } from './worker-tokens.js';

const LOOK_EVERY_MS = 1_000;
const BATCH = 500;
/** An engine that has not answered for so long runs nothing any more. */
const LOST_ENGINE_MS = 10 * 60_000;

/** Frees the files of deleted versions once no engine serves a request with them. */
@Injectable()
export class ReleaseFiles implements OnApplicationBootstrap, OnModuleDestroy {
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> = Promise.resolve();

  constructor(
    private readonly ledger: BlobLedger,
    private readonly fleet: EngineFleet,
    @Inject(WORKER_SETTINGS) private readonly settings: SettingsOf<typeof workerSettings>,
    @Inject(WORKER_LOGGER) private readonly logger: Logger,
    private readonly metrics: JobMetrics,
  ) {}

  onApplicationBootstrap(): void {
    this.#timer = setInterval(() => {
      this.#running = this.#running
        .then(() => this.metrics.task('free files', () => this.release()))
        .catch((err: unknown) => this.logger.warn({ err }, 'deleted files could not be freed now'));
    }, LOOK_EVERY_MS).unref();
  }

  async onModuleDestroy(): Promise<void> {
    clearInterval(this.#timer);
    await this.#running;
  }

  /** Frees what can go now; two workers at once do no harm. */
  async release(): Promise<void> {
    const files = await this.ledger.released(this.settings.deleteGrace_s * 1_000, BATCH);
    if (files.length === 0) return;
    const inUse = this.#digestsInUse();
    const lostBefore = Date.now() - LOST_ENGINE_MS;
    const free = files.filter(
      ({ digest, releasedAt }) =>
        digest === null ||
        (!inUse.digests.has(digest) && (inUse.isComplete || releasedAt.getTime() < lostBefore)),
    );
    await this.#drop(free);
    const gone = await this.ledger.finishRelease(free);
    if (gone.length > 0) this.logger.info({ files: gone.length }, 'freed the files of deleted versions');
  }

  /** What engines serve requests with, by their last statuses. */
  #digestsInUse(): { digests: ReadonlySet<string>; isComplete: boolean } {
    const views = this.fleet.statuses();
    const digests = views.flatMap(({ status }) => {
      const busy = status?.adapters.resident.filter(({ requests }) => requests > 0) ?? [];
      return [...busy, ...(status?.adapters.waiting ?? [])].map(({ digest }) => digest);
    });
    return { digests: new Set(digests), isComplete: views.every(({ state }) => state !== 'unreachable') };
  }

  /** A request that was on its way when the version was deleted may have brought its adapter back to an engine. */
  async #drop(files: readonly ReleasedFile[]): Promise<void> {
    const digests = [...new Set(files.flatMap(({ digest }) => digest ?? []))];
    const unheld = await this.ledger.unheld(digests);
    await Promise.all(unheld.map((digest) => this.fleet.dropAdapter(digest)));
  }
}
