import { join } from 'node:path';
import { readdir } from 'node:fs/promises';
import {
  Inject,
  Injectable,
  type OnApplicationBootstrap,
  type OnModuleDestroy,
  type OnModuleInit,
} from '@nestjs/common';
import { BlobLedger } from '#adapters/blobs/blob-ledger.service.js';
import { ADAPTERS_CHANNEL, parseChange } from '#adapters/registry/adapter-changes.js';
import { FileFetcher } from '#adapters/imports/file-fetcher.js';
import { asImportError, type ImportError } from '#adapters/imports/import-error.js';
import { IMPORT_JOB, IMPORT_PRODUCER, type ImportJob } from '#adapters/imports/import-job.js';
import { describeSource } from '#adapters/imports/import-source.js';
import { type ImportCase, ImportStates } from '#adapters/imports/import-states.service.js';
import { MAX_FRUITLESS, pauseBeforeRetry } from '#adapters/imports/retry-rule.js';
import { countProgress } from '#adapters/imports/import-progress.js';
import { INGEST_PRODUCER, type IngestJob } from '#adapters/intake/ingest-job.js';
import { limitOfPart } from '#adapters/intake/upload-parts.js';
import type { Logger } from '#runtime/logger.js';
import type { SettingsOf } from '#runtime/settings.js';
import type { BlobStore } from '#stores/blobs/blob-store.js';
import { isId } from '#stores/ids.js';
import { isAway } from '#stores/postgres/database-error.js';
import { Notifications } from '#stores/postgres/notifications.js';
import type { JobConsumer, JobProducer, JobRun, Queues } from '#stores/queue/job-queue.js';
import { BLOBS, QUEUES } from '#stores/stores.module.js';
import { DataSource } from 'typeorm';
import { nextTurn } from '#adapters/registry/version-states.service.js';
import { ImportOrigins } from './import-origins.service.js';
import { JobMetrics } from './observe/job-metrics.js';
import { whileAway } from './patience.js';
import type { workerSettings } from './settings.js';
import { WORKER_LOGGER, WORKER_SETTINGS } from './worker-tokens.js';

const REQUEUE_EVERY_MS = 30_000;
const REQUEUE_LIMIT = 1_000;
/** However slowly its bytes come, an import ends after that. */
const LONGEST_MS = 24 * 3600_000;

/** The import is not this worker's any more: cancelled, deleted, or taken over by another worker. */
class ImportLost extends Error {}

/**
 * The job `import-adapter`: fetches the files of a version and hands it to `ingest-adapter`. What has come lies on this
 * machine until the import ends, so an attempt goes on where the last one broke off, also after a kill.
 */
@Injectable()
export class ImportAdapter implements OnModuleInit, OnApplicationBootstrap, OnModuleDestroy {
  readonly #fetcher: FileFetcher;
  readonly #folder: string;
  readonly #retries = new Map<string, NodeJS.Timeout>();
  #consumer: JobConsumer | undefined;
  #sweep: NodeJS.Timeout | undefined;
  #sweeping: Promise<void> = Promise.resolve();

  constructor(
    private readonly states: ImportStates,
    private readonly origins: ImportOrigins,
    private readonly ledger: BlobLedger,
    private readonly database: DataSource,
    private readonly notifications: Notifications,
    @Inject(BLOBS) blobs: BlobStore,
    @Inject(QUEUES) private readonly queues: Queues,
    @Inject(IMPORT_PRODUCER) private readonly imports: JobProducer<ImportJob>,
    @Inject(INGEST_PRODUCER) private readonly ingests: JobProducer<IngestJob>,
    @Inject(WORKER_SETTINGS) private readonly settings: SettingsOf<typeof workerSettings>,
    @Inject(WORKER_LOGGER) private readonly logger: Logger,
    private readonly metrics: JobMetrics,
  ) {
    this.#folder = join(settings.dataDir, 'imports');
    const limits = { bytesOf: (name: string) => limitOfPart(name, settings.maxUploadBytes) };
    this.#fetcher = new FileFetcher(this.#folder, blobs, limits);
  }

  onModuleInit(): void {
    this.#consumer = this.queues.consumer<ImportJob>(IMPORT_JOB, {
      concurrency: this.settings.importConcurrency,
      handle: ({ versionId }, signal, run) =>
        this.metrics.job(IMPORT_JOB, signal, () => this.import(versionId, signal, run)),
    });
  }

  onApplicationBootstrap(): void {
    const sweep = (): void => {
      this.#sweeping = this.#sweeping
        .then(() => this.metrics.task('requeue imports', () => this.sweep()))
        .catch((err: unknown) => {
          this.logger.warn({ err }, 'a sweep of the imports failed; it comes again');
        });
    };
    sweep();
    this.#sweep = setInterval(sweep, REQUEUE_EVERY_MS);
  }

  async onModuleDestroy(): Promise<void> {
    clearInterval(this.#sweep);
    for (const timer of this.#retries.values()) clearTimeout(timer);
    await Promise.all([this.#consumer?.close(), this.#sweeping]);
  }

  /** Queues what is due and frees what ended imports left on this machine. */
  async sweep(): Promise<void> {
    for (const { versionId, turn } of await this.states.due(REQUEUE_LIMIT))
      await this.imports.add(versionId, { versionId }, { turn });
    for (const versionId of await readdir(this.#folder).catch(() => [])) {
      if (isId(versionId) && !(await this.states.isOpen(versionId))) await this.#fetcher.forget(versionId);
    }
  }

  /** One attempt. Throws only when the worker closes first: the job then starts again. */
  async import(versionId: string, signal: AbortSignal, run: JobRun): Promise<void> {
    const begun = await whileAway(() => this.states.begin(versionId), signal);
    if (!begun) return run.log('the import has ended, or its next attempt is not due');
    await run.log(`attempt ${begun.attempt}: ${describeSource(begun.source)}`);
    const watch = this.#watch(begun);
    const stored: string[] = [];
    try {
      if (begun.fruitless > MAX_FRUITLESS) throw asImportError(new Error('the worker died each time'));
      const { files, origin } = await this.#fetch(begun, {
        stored,
        run,
        signal: AbortSignal.any([signal, watch.signal]),
      });
      if (!(await whileAway(() => this.states.complete(begun, files, origin), signal)))
        throw new ImportLost();
      await this.#fetcher.forget(versionId);
      await this.origins.used(begun);
      const turn = await nextTurn(this.database, begun.tenantId).catch(() => 1);
      await this.ingests.add(versionId, { versionId }, { turn }).catch((err: unknown) => {
        this.logger.warn({ err, versionId }, 'the job could not be queued; a sweep will queue it');
      });
    } catch (error) {
      signal.throwIfAborted();
      await whileAway(() => this.ledger.free(stored), signal);
      if (error instanceof ImportLost) await this.#leave(begun, signal);
      else await this.#failed(begun, error, { signal, run });
    } finally {
      watch.stop();
    }
  }

  async #fetch(
    begun: ImportCase,
    { stored, run, signal }: { stored: string[]; run: JobRun; signal: AbortSignal },
  ) {
    const limits = { bytesOf: (name: string) => limitOfPart(name, this.settings.maxUploadBytes) };
    const origin = await this.origins.open(begun, {
      limits,
      signal,
      onModule: toldNowAndThen((done, total) => run.progress({ stage: 'computing', done, total })),
    });
    const text = describeSource(origin.pinned);
    if (text !== describeSource(begun.source) && !(await this.states.pin(begun, origin.pinned, text))) {
      throw new ImportLost();
    }
    let highest = Object.values(begun.files).reduce((sum, { doneBytes }) => sum + doneBytes, 0);
    const order = { versionId: begun.versionId, progress: begun.files, sha256: begun.sha256 };
    const files = await this.#fetcher.fetch(origin, order, {
      signal,
      stored: (sha256) => stored.push(sha256),
      onProgress: async (files) => {
        const { doneBytes, totalBytes } = countProgress(files);
        const moved = doneBytes > highest;
        highest = Math.max(highest, doneBytes);
        const total = totalBytes === null ? {} : { total: totalBytes };
        await run.progress({ stage: 'fetching', done: doneBytes, ...total });
        const held = await this.states
          .count(begun, { files: { ...files }, doneBytes, totalBytes, moved })
          .catch((error: unknown) => isAway(error) || Promise.reject(error));
        if (!held) throw new ImportLost();
      },
    });
    return { files, origin };
  }

  /** Aborts as soon as the version is cancelled or deleted, wherever that happens. */
  #watch({ versionId }: ImportCase): { signal: AbortSignal; stop: () => void } {
    const controller = new AbortController();
    const look = (): void => {
      this.states.isOpen(versionId).then(
        (open) => open || controller.abort(new ImportLost()),
        () => undefined, // the next count finds out
      );
    };
    const stop = this.notifications.subscribe(ADAPTERS_CHANNEL, {
      changed: (payload) => {
        const { version } = parseChange(payload);
        if (version === undefined || version === versionId) look();
      },
      missed: look,
    });
    return { signal: controller.signal, stop };
  }

  async #failed(
    begun: ImportCase,
    error: unknown,
    { signal, run }: { signal: AbortSignal; run: JobRun },
  ): Promise<void> {
    const failure = asImportError(error);
    const { versionId, attempt } = begun;
    await run.log(`attempt ${attempt} failed: ${failure.message}`);
    this.logger.info(
      { err: failure.cause, versionId, attempt, retryable: failure.retryable },
      'an import attempt failed',
    );
    const latest = await whileAway(() => this.states.look(versionId), signal);
    if (!latest) return this.#leave(begun, signal);
    const reason = givenUp(failure, latest);
    if (reason !== undefined) {
      await whileAway(() => this.states.fail(versionId, reason), signal);
      return this.#fetcher.forget(versionId);
    }
    const { retryAfter_ms } = failure;
    const pause_ms = pauseBeforeRetry({ fruitless: latest.fruitless, retryAfter_ms }, Math.random());
    const at = new Date(Date.now() + pause_ms);
    const held = await whileAway(() => this.states.tryLater(begun, failure.message, at), signal);
    if (held) this.#retryAt(versionId, pause_ms);
    else await this.#leave(begun, signal);
  }

  /** The sweep would find it as well, only later; and it does when this worker ends before. */
  #retryAt(versionId: string, pause_ms: number): void {
    clearTimeout(this.#retries.get(versionId));
    const again = (): void => {
      this.#retries.delete(versionId);
      this.imports.add(versionId, { versionId }).catch((err: unknown) => {
        this.logger.warn({ err, versionId }, 'an import could not be queued; a sweep will queue it');
      });
    };
    this.#retries.set(versionId, setTimeout(again, pause_ms + 20));
  }

  /** Another worker that took the import over goes on with the bytes on this machine. */
  async #leave({ versionId }: ImportCase, signal: AbortSignal): Promise<void> {
    if (!(await whileAway(() => this.states.isOpen(versionId), signal)))
      await this.#fetcher.forget(versionId);
  }
}

const TELL_EVERY_MS = 1_000;

/** The first and the last step, and one a second between them. */
function toldNowAndThen(
  tell: (done: number, total: number) => Promise<void>,
): (done: number, total: number) => void {
  let told_ms = 0;
  return (done, total) => {
    if (done < total && Date.now() - told_ms < TELL_EVERY_MS) return;
    told_ms = Date.now();
    void tell(done, total);
  };
}

/** Why there is no further attempt; undefined when there is one. */
function givenUp(
  failure: ImportError,
  { fruitless, createdAt }: { readonly fruitless: number; readonly createdAt: Date },
): string | undefined {
  if (!failure.retryable) return failure.message;
  if (fruitless >= MAX_FRUITLESS) return `Given up after ${fruitless} attempts in a row: ${failure.message}`;
  const age_ms = Date.now() - createdAt.getTime();
  return age_ms > LONGEST_MS
    ? `Given up after ${LONGEST_MS / 3600_000} hours: ${failure.message}`
    : undefined;
}
