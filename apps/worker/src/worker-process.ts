import { NestFactory } from '@nestjs/core';
import { type Logger, makeLogger, nestLogger } from '#runtime/logger.js';
import type { SettingsOf } from '#runtime/settings.js';
import type { Closable, Drain } from '#runtime/shutdown.js';
import type { Queues } from '#stores/queue/job-queue.js';
import { QUEUES } from '#stores/stores.module.js';
import type { workerSettings } from './settings.js';
import { WorkerModule } from './worker.module.js';

export interface WorkerProcess {
  readonly logger: Logger;
  /** Before the closables: no job is taken any more, and those that run come to their end. */
  readonly drain: Drain;
  readonly closables: readonly Closable[];
}

/** Starts the background jobs; tests start them in their own process as well. */
export async function startWorker(settings: SettingsOf<typeof workerSettings>): Promise<WorkerProcess> {
  const logger = makeLogger('worker', settings.logLevel);
  const module = WorkerModule.forRoot({ settings, logger });
  const app = await NestFactory.createApplicationContext(module, {
    logger: nestLogger(logger),
    abortOnError: false,
  });
  logger.info('the worker waits for jobs');
  const limit_ms = settings.shutdownTimeout_s * 1000;
  const drain = { limit_ms, run: () => app.get<Queues>(QUEUES, { strict: false }).drain(limit_ms) };
  return { logger, drain, closables: [{ name: 'jobs and modules', close: () => app.close() }] };
}
