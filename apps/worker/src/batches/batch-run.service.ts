import { setMaxListeners } from 'node:events';
import { Inject, Injectable } from '@nestjs/common';
import { OccasionalProcess } from '#accounts/limits/occasional-process.service.js';
import type { Batch } from '#batches/batch.entity.js';
import type { BatchLine } from '#batches/batch-line.js';
import { type BatchLease, BatchStates } from '#batches/batch-states.service.js';
import { AppError } from '#runtime/app-error.js';
import type { Logger } from '#runtime/logger.js';
import type { SettingsOf } from '#runtime/settings.js';
import { JobMetrics } from '../observe/job-metrics.js';
import { whileAway } from '../patience.js';
import type { workerSettings } from '../settings.js';
import { WORKER_LOGGER, WORKER_SETTINGS } from '../worker-tokens.js';
import { BatchFiles } from './batch-files.service.js';
import { BatchMetrics } from './batch-metrics.js';
import { CLOCK, type Clock } from './clock.js';
import { InputLines } from './input-lines.service.js';
import { LineAnswers } from './line-answers.service.js';
import { TenantSlots } from './tenant-slots.js';

const BATCH_JOB = 'run-batch';

/**
 * Carries a batch out, from wherever the worker before it stopped: a line with a result is never asked again, and a
 * result counts only from the worker that has the batch's lease.
 */
@Injectable()
export class BatchRun {
  readonly #slots: TenantSlots;
  /** How to end the lines of the batches that run here. */
  readonly #stops = new Map<string, AbortController>();

  constructor(
    private readonly states: BatchStates,
    private readonly lines: InputLines,
    private readonly answers: LineAnswers,
    private readonly files: BatchFiles,
    private readonly processes: OccasionalProcess,
    private readonly jobs: JobMetrics,
    private readonly metrics: BatchMetrics,
    @Inject(CLOCK) private readonly clock: Clock,
    @Inject(WORKER_SETTINGS) settings: SettingsOf<typeof workerSettings>,
    @Inject(WORKER_LOGGER) private readonly logger: Logger,
  ) {
    this.#slots = new TenantSlots(settings.batchConcurrency);
  }

  step(lease: BatchLease, signal: AbortSignal): Promise<void> {
    return this.jobs.job(BATCH_JOB, signal, () => this.#carryOut(lease, signal));
  }

  /** Something was said of a batch: it may have been cancelled. Without an id: of any. */
  async heard(id?: string): Promise<void> {
    for (const running of id === undefined ? [...this.#stops.keys()] : [id]) {
      const stop = this.#stops.get(running);
      if (stop && (await this.states.statusOf(running)) === 'cancelling')
        stop.abort(new AppError('client_closed_request', { message: 'The batch was cancelled.' }));
    }
  }

  async #carryOut(lease: BatchLease, signal: AbortSignal): Promise<void> {
    let batch = await this.states.find(lease);
    if (batch?.status === 'validating') {
      await this.#validate(batch, lease, signal);
      batch = await this.states.find(lease);
    }
    if (batch?.status === 'in_progress') {
      const { id } = batch;
      await this.processes.during(() => this.#askAll(batch as Batch, lease, signal));
      this.logger.info({ batch: id }, 'the lines of a batch have ended');
      await this.states.beginFinalizing(lease);
      batch = await this.states.find(lease);
    }
    if (batch?.status !== 'finalizing' && batch?.status !== 'cancelling') return;
    const status = await this.files.end(batch, lease, signal);
    this.logger.info({ batch: batch.id, status }, 'a batch has ended');
  }

  async #validate(batch: Batch, lease: BatchLease, signal: AbortSignal): Promise<void> {
    const verdict = await this.lines.check(batch, signal);
    if (verdict.errors === undefined) await this.states.begin(lease, verdict);
    else await this.states.fail(lease, verdict.errors);
  }

  /** Returns when each line has a result, or the batch was cancelled or is out of time. */
  async #askAll(batch: Batch, lease: BatchLease, signal: AbortSignal): Promise<void> {
    const stop = new AbortController();
    setMaxListeners(0, stop.signal);
    const lost = (): void => stop.abort(signal.reason);
    signal.addEventListener('abort', lost, { once: true });
    if (signal.aborted) lost();
    const stopTimer = this.clock.at(batch.expiresAt, () => stop.abort(outOfTime()));
    this.#stops.set(batch.id, stop);
    try {
      await this.heard(batch.id); // what was said before anybody listened
      await this.#askEach(batch, lease, { stop, signal });
    } finally {
      this.#stops.delete(batch.id);
      stopTimer();
      signal.removeEventListener('abort', lost);
    }
    signal.throwIfAborted();
  }

  /** Throws what failed but for the line itself, when no line runs any more. */
  async #askEach(batch: Batch, lease: BatchLease, { stop, signal }: Stops): Promise<void> {
    const done = await this.states.doneLines(batch.id);
    const running = new Set<Promise<void>>();
    let failure: unknown;
    try {
      for await (const line of this.lines.of(batch)) {
        if (done.has(line.number)) continue;
        const giveBack = await this.#slots.take(batch.tenantId, stop.signal);
        const task = this.#askOne(batch, line, lease, { stop, signal })
          .catch((error: unknown) => {
            failure ??= error;
            stop.abort(error);
          })
          .finally(() => {
            giveBack();
            running.delete(task);
          });
        running.add(task);
      }
    } catch (error) {
      if (!stop.signal.aborted) failure ??= error;
      stop.abort(error);
    } finally {
      if (failure !== undefined) stop.abort(failure);
      await Promise.all(running);
    }
    if (failure !== undefined) throw failure;
  }

  async #askOne(batch: Batch, line: BatchLine, lease: BatchLease, { stop, signal }: Stops): Promise<void> {
    const result = await this.answers.answer(batch, line, stop.signal);
    if (!result) return;
    if (await whileAway(() => this.states.add(lease, result), signal)) this.metrics.ended(result.isError);
  }
}

interface Stops {
  /** Ends the lines that run. */
  readonly stop: AbortController;
  /** The worker has the batch no more. */
  readonly signal: AbortSignal;
}

function outOfTime(): AppError {
  return new AppError('client_closed_request', { message: 'The completion window has ended.' });
}
