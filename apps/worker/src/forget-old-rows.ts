import { Inject, Injectable, type OnApplicationBootstrap, type OnModuleDestroy } from '@nestjs/common';
import { HistoryRetention } from '#accounts/history/history-retention.service.js';
import { RequestLogRetention } from '#accounts/request-log/request-log-retention.service.js';
import { StoredResponses } from '#accounts/responses/stored-responses.service.js';
import { BatchesService } from '#batches/batches.service.js';
import { FilesService } from '#batches/files/files.service.js';
import { UsageRollup } from '#accounts/usage-rollup.service.js';
import { EngineHistory } from '#fleet/history/engine-history.service.js';
import type { Logger } from '#runtime/logger.js';
import type { SettingsOf } from '#runtime/settings.js';
import { AuditLog } from '#stores/audit/audit-log.service.js';
import { IdempotencyKeys } from '#stores/idempotency/idempotency-keys.service.js';
import { JobMetrics } from './observe/job-metrics.js';
import type { workerSettings } from './settings.js';
import { WORKER_LOGGER, WORKER_SETTINGS } from './worker-tokens.js';

const EVERY_MS = 3600_000;
const DAY_MS = 24 * 3600_000;

/** Deletes what is older than the operator wants to keep; deliveries are forgotten where they are handed on. */
@Injectable()
export class ForgetOldRows implements OnApplicationBootstrap, OnModuleDestroy {
  readonly #closing = new AbortController();
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> = Promise.resolve();

  constructor(
    private readonly usage: UsageRollup,
    private readonly history: HistoryRetention,
    private readonly engines: EngineHistory,
    private readonly requests: RequestLogRetention,
    private readonly audit: AuditLog,
    private readonly keys: IdempotencyKeys,
    private readonly responses: StoredResponses,
    private readonly files: FilesService,
    private readonly batches: BatchesService,
    private readonly metrics: JobMetrics,
    @Inject(WORKER_SETTINGS) private readonly settings: SettingsOf<typeof workerSettings>,
    @Inject(WORKER_LOGGER) private readonly logger: Logger,
  ) {}

  onApplicationBootstrap(): void {
    const run = (): void => {
      this.#running = this.#running
        .then(() => this.metrics.task('forget old rows', () => this.forget(new Date())))
        .catch((err: unknown) =>
          this.logger.warn({ err }, 'old rows could not be deleted; it is tried again'),
        );
    };
    run();
    this.#timer = setInterval(run, EVERY_MS);
  }

  async onModuleDestroy(): Promise<void> {
    this.#closing.abort();
    clearInterval(this.#timer);
    await this.#running;
  }

  /** Any number of workers may do it at once. */
  async forget(now: Date): Promise<void> {
    const { signal } = this.#closing;
    const { usageMinutesRetention_days: minutes_days, auditRetention_days: audit_days } = this.settings;
    const before = (days: number): Date => new Date(now.getTime() - days * DAY_MS);
    const days = minutes_days === undefined ? [] : await this.usage.prune(before(minutes_days), signal);
    const entries = audit_days === undefined ? 0 : await this.audit.prune(before(audit_days), signal);
    const figures = await this.#forgetHistory(before);
    const requests = await this.requests.prune(now, signal);
    const keys = await this.keys.prune(now);
    const { responseRetention_days: responses_days } = this.settings;
    const responses = responses_days === undefined ? 0 : await this.responses.prune(before(responses_days));
    const files = await this.files.prune(now, signal);
    const { fileRetention_days: batches_days } = this.settings;
    const batches = batches_days === undefined ? 0 : await this.batches.prune(before(batches_days));
    if (days.length + entries + figures + requests + keys + responses + files + batches > 0)
      this.logger.info(
        {
          usageDays: days.length,
          auditEntries: entries,
          figures,
          requests,
          idempotencyKeys: keys,
          responses,
          files,
          batches,
        },
        'deleted old rows',
      );
  }

  async #forgetHistory(before: (days: number) => Date): Promise<number> {
    const { settings } = this;
    const kept_days = {
      minute: settings.historyMinutesRetention_days,
      hour: settings.historyHoursRetention_days,
      day: settings.historyDaysRetention_days,
    };
    let figures = 0;
    for (const [step, days] of Object.entries(kept_days) as [keyof typeof kept_days, number | undefined][]) {
      if (days === undefined) continue;
      figures += await this.history.prune(step, before(days), this.#closing.signal);
      figures += await this.engines.prune(step, before(days));
    }
    return figures;
  }
}
