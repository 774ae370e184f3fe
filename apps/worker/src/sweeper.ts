import { Inject, Injectable, type OnApplicationBootstrap, type OnModuleDestroy } from '@nestjs/common';
import { UsageService } from '#accounts/usage.service.js';
import { ProtectedAliases } from '#adapters/aliases/protected-aliases.service.js';
import { BlobLedger } from '#adapters/blobs/blob-ledger.service.js';
import { INGEST_PRODUCER, type IngestJob, ingestJobId } from '#adapters/intake/ingest-job.js';
import { ResumableUploads } from '#adapters/resumable/resumable-uploads.service.js';
import { VersionStates } from '#adapters/registry/version-states.service.js';
import { RevalidationStates } from '#adapters/revalidation/revalidation-states.service.js';
import { EngineFleet } from '#fleet/engine-fleet.js';
import { AppError } from '#runtime/app-error.js';
import type { Logger } from '#runtime/logger.js';
import type { BlobStore } from '#stores/blobs/blob-store.js';
import type { JobProducer } from '#stores/queue/job-queue.js';
import { BLOBS } from '#stores/stores.module.js';
import { JobMetrics } from './observe/job-metrics.js';
import { WORKER_LOGGER } from './worker-tokens.js';

const REQUEUE_EVERY_MS = 30_000;
const EXPIRE_EVERY_MS = 60_000;
const CLEAN_EVERY_MS = 3600_000;
/** No upload takes longer between two chunks. */
const TEMPORARY_AGE_MS = 24 * 3600_000;
const REQUEUE_LIMIT = 1_000;

/** Finds what a crash left behind (versions without a job, temporary and unowned files), and what waited for too long. */
@Injectable()
export class Sweeper implements OnApplicationBootstrap, OnModuleDestroy {
  readonly #closing = new AbortController();
  readonly #timers: NodeJS.Timeout[] = [];
  #running: Promise<void> = Promise.resolve();

  constructor(
    private readonly states: VersionStates,
    private readonly revalidations: RevalidationStates,
    private readonly aliases: ProtectedAliases,
    private readonly fleet: EngineFleet,
    private readonly ledger: BlobLedger,
    private readonly uploads: ResumableUploads,
    private readonly usage: UsageService,
    @Inject(INGEST_PRODUCER) private readonly queue: JobProducer<IngestJob>,
    @Inject(BLOBS) private readonly blobs: BlobStore,
    @Inject(WORKER_LOGGER) private readonly logger: Logger,
    private readonly metrics: JobMetrics,
  ) {}

  onApplicationBootstrap(): void {
    this.#every(REQUEUE_EVERY_MS, () => this.metrics.task('requeue versions', () => this.requeue()));
    this.#every(EXPIRE_EVERY_MS, () => this.metrics.task('expire changes', () => this.expire()));
    this.#every(CLEAN_EVERY_MS, () => this.metrics.task('clean up', () => this.clean()));
  }

  async onModuleDestroy(): Promise<void> {
    this.#closing.abort();
    for (const timer of this.#timers) clearInterval(timer);
    await this.#running;
  }

  /** Queues whatever is not settled, on the base that is served; what waits or runs already is left as it is. */
  async requeue(): Promise<void> {
    for (const { versionId, turn } of await this.states.unsettled(REQUEUE_LIMIT)) {
      if (this.#closing.signal.aborted) return;
      await this.queue.add(versionId, { versionId }, { turn });
    }
    const baseDigest = await this.#servedBase();
    if (baseDigest === undefined) return;
    for (const { versionId, turn } of await this.revalidations.unsettled(baseDigest, REQUEUE_LIMIT)) {
      if (this.#closing.signal.aborted) return;
      const job = { versionId, baseDigest };
      await this.queue.add(ingestJobId(job), job, { turn });
    }
  }

  /** Undefined while no engine answers. */
  async #servedBase(): Promise<string | undefined> {
    try {
      return (await this.fleet.base()).digest;
    } catch (error) {
      if (error instanceof AppError && error.code === 'engine_unavailable') return undefined;
      throw error;
    }
  }

  async expire(): Promise<void> {
    const ended = await this.aliases.expire(new Date());
    if (ended > 0) this.logger.info({ ended }, 'changes of protected aliases expired');
  }

  async clean(): Promise<void> {
    const temporary = await this.blobs.sweep(TEMPORARY_AGE_MS);
    const unowned = await this.ledger.sweep(this.#closing.signal);
    await this.uploads.sweep();
    await this.usage.prune();
    if (temporary + unowned > 0) this.logger.info({ temporary, unowned }, 'removed what crashes left behind');
  }

  /** Now and then again; sweeps run one after another. */
  #every(period_ms: number, sweep: () => Promise<void>): void {
    const run = (): void => {
      this.#running = this.#running.then(sweep).catch((err: unknown) => {
        this.logger.warn({ err }, 'a sweep failed; it comes again');
      });
    };
    run();
    this.#timers.push(setInterval(run, period_ms));
  }
}
