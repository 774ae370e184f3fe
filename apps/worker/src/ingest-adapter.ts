import { Inject, Injectable, type OnModuleDestroy, type OnModuleInit } from '@nestjs/common';
import { INGEST_JOB, INGEST_PRODUCER, type IngestJob, ingestJobId } from '#adapters/intake/ingest-job.js';
import { BlobLedger } from '#adapters/blobs/blob-ledger.service.js';
import type { Accepted } from '#adapters/registry/first-acceptance.js';
import { type IngestCase, type Refused, VersionStates } from '#adapters/registry/version-states.service.js';
import { RevalidationStates } from '#adapters/revalidation/revalidation-states.service.js';
import type { BaseModel } from '#contracts/base-model.js';
import { EngineFleet } from '#fleet/engine-fleet.js';
import type { Logger } from '#runtime/logger.js';
import type { SettingsOf } from '#runtime/settings.js';
import {
  type JobConsumer,
  type JobProducer,
  type JobRun,
  Postponed,
  type Queues,
} from '#stores/queue/job-queue.js';
import { QUEUES } from '#stores/stores.module.js';
import { JobMetrics } from './observe/job-metrics.js';
import { backoff, whileAway } from './patience.js';
import type { workerSettings } from './settings.js';
import { TenantPlaces } from './tenant-places.js';
import { VersionValidation } from './version-validation.service.js';
import { WORKER_LOGGER, WORKER_SETTINGS } from './worker-tokens.js';

/** How often a validation may fail unexpectedly or take the worker down with it. */
const MAX_ATTEMPTS = 5;
/** A job that waits for a place of its tenant comes by itself after so long, should the worker die that would call it. */
const POSTPONED_MS = 60_000;

/**
 * The job `ingest-adapter`: validates an uploaded version against the base model and makes it ready or rejected.
 * It may begin again at any point: until its one closing transaction nothing of it can be seen.
 */
@Injectable()
export class IngestAdapter implements OnModuleInit, OnModuleDestroy {
  #consumer: JobConsumer | undefined;
  readonly #places: TenantPlaces;

  constructor(
    private readonly states: VersionStates,
    private readonly revalidations: RevalidationStates,
    private readonly ledger: BlobLedger,
    private readonly fleet: EngineFleet,
    private readonly validation: VersionValidation,
    @Inject(QUEUES) private readonly queues: Queues,
    @Inject(INGEST_PRODUCER) private readonly producer: JobProducer<IngestJob>,
    @Inject(WORKER_SETTINGS) settings: SettingsOf<typeof workerSettings>,
    @Inject(WORKER_LOGGER) private readonly logger: Logger,
    private readonly metrics: JobMetrics,
  ) {
    this.#places = new TenantPlaces(settings.workerConcurrency);
  }

  onModuleInit(): void {
    this.#consumer = this.queues.consumer<IngestJob>(INGEST_JOB, {
      concurrency: this.#places.count,
      handle: (job, signal, run) => this.metrics.job(INGEST_JOB, signal, () => this.ingest(job, signal, run)),
    });
  }

  async onModuleDestroy(): Promise<void> {
    await this.#consumer?.close();
  }

  /**
   * Returns when the version is settled or gone; throws when the worker closes first (the job then starts again), when its
   * tenant holds all places that it may (it comes again), and when validation was given up, so that the operator finds
   * the job among the failed ones.
   */
  async ingest(job: IngestJob, signal: AbortSignal, run: JobRun): Promise<void> {
    const tenantId = await whileAway(() => this.states.tenantOf(job.versionId), signal);
    if (tenantId === undefined) return run.log('the version is deleted');
    if (!this.#places.take(tenantId, ingestJobId(job))) {
      await run.log('it waits until another validation of its tenant ends');
      throw new Postponed(POSTPONED_MS);
    }
    try {
      await this.#ingest(job, signal, run);
    } finally {
      const next = this.#places.giveBack(tenantId);
      if (!signal.aborted) await this.#hasten(async () => next);
    }
  }

  async #ingest(job: IngestJob, signal: AbortSignal, run: JobRun): Promise<void> {
    const { versionId } = job;
    const life = this.#lifeOf(job);
    for (const pause of backoff(signal)) {
      await run.progress({ stage: 'waiting for an engine and the database' });
      const base = await whileAway(() => this.#baseFor(job), signal);
      if (job.baseDigest !== undefined && job.baseDigest !== base.digest)
        return run.log(`another base is served now (${base.name}); it waits until its own is back`);
      const begun = await whileAway(() => life.begin(), signal);
      if (!begun) return run.log('the version is settled already, or deleted');
      if (begun.attempt === 1) await this.#hastenNext(job);
      await run.log(`attempt ${begun.attempt} against ${base.name} (${base.digest})`);
      await run.progress({ stage: 'validating' });
      let fault: unknown = new Error('the worker died each time');
      if (begun.attempt <= MAX_ATTEMPTS) {
        try {
          return await run.log(
            await whileAway(() => this.#settle(life, { version: begun, base }, signal), signal),
          );
        } catch (error) {
          signal.throwIfAborted();
          this.logger.error(
            { err: error, versionId, attempt: begun.attempt },
            'validation failed unexpectedly',
          );
          fault = error;
          await run.log(`attempt ${begun.attempt} failed: ${String(error)}`);
        }
      }
      if (begun.attempt >= MAX_ATTEMPTS) {
        await whileAway(() => life.giveUp(failureText(fault)), signal);
        throw fault;
      }
      await pause();
    }
  }

  /**
   * A tenant's jobs stand behind each other. As one begins the next comes to the front, so that tenants go by turns and
   * those who come anew do not keep it waiting for ever.
   */
  async #hastenNext({ versionId, baseDigest }: IngestJob): Promise<void> {
    if (baseDigest === undefined) await this.#hasten(() => this.states.nextOfTenant(versionId));
  }

  async #hasten(which: () => Promise<string | undefined>): Promise<void> {
    try {
      const next = await which();
      if (next !== undefined) await this.producer.hasten(next);
    } catch (err) {
      this.logger.warn({ err }, "a tenant's next job could not be hastened; it keeps its turn");
    }
  }

  /** The base that is served; a process hears of a change later than the one that made the job. */
  async #baseFor({ baseDigest }: IngestJob): Promise<BaseModel> {
    const base = await this.fleet.base();
    return baseDigest === undefined || baseDigest === base.digest ? base : this.fleet.baseNow();
  }

  #lifeOf({ versionId, baseDigest }: IngestJob): JudgedLife {
    const { states, revalidations } = this;
    if (baseDigest === undefined)
      return {
        begin: () => states.begin(versionId),
        ready: (accepted) => states.ready(versionId, accepted),
        reject: (refused) => states.reject(versionId, refused),
        giveUp: (failure) => states.giveUp(versionId, failure),
      };
    const key = { versionId, baseDigest };
    return {
      begin: () => revalidations.begin(key),
      ready: (accepted) => revalidations.ready(key, accepted),
      reject: (refused) => revalidations.reject(key, refused),
      giveUp: (failure) => revalidations.giveUp(key, failure),
    };
  }

  /** Returns what came of it, in words. */
  async #settle(
    life: JudgedLife,
    { version, base }: { readonly version: IngestCase; readonly base: BaseModel },
    signal: AbortSignal,
  ): Promise<string> {
    const { versionId } = version;
    const result = await this.validation.run(version, base, signal);
    const freed = [...result.made.values()].map(({ sha256 }) => sha256);
    if (result.verdict === 'rejected') {
      const { report, parity } = result;
      const outcome = await this.#reject(life, versionId, { base, report, parity });
      await this.ledger.free(freed);
      return outcome;
    }
    const { manifest, made, report, parity } = result;
    const visible = await life.ready({ manifest, made, base, report, parity });
    // Deleted while it was validated.
    if (!visible) await this.ledger.free([manifest.sha256, ...freed]);
    this.logger.info({ versionId, digest: manifest.sha256, visible }, 'version validated');
    return visible ? `ready: ${manifest.sha256}` : 'deleted or cancelled while it was validated';
  }

  async #reject(life: JudgedLife, versionId: string, refused: Refused): Promise<string> {
    await life.reject(refused);
    const { errors } = refused.report;
    this.logger.info({ versionId, errors: [...new Set(errors.map(({ code }) => code))] }, 'version rejected');
    return `rejected: ${errors[0]?.message ?? 'see its report'}`;
  }
}

/** What the states of a version, or of a version on one more base, have in common. */
interface JudgedLife {
  begin(): Promise<IngestCase | undefined>;
  ready(accepted: Accepted): Promise<boolean>;
  reject(refused: Refused): Promise<boolean>;
  giveUp(failure: string): Promise<boolean>;
}

function failureText(fault: unknown): string {
  const reason = fault instanceof Error ? fault.message : String(fault);
  return `Validation could not be finished in ${MAX_ATTEMPTS} attempts: ${reason}`;
}
