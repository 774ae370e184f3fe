import { NestFactory } from '@nestjs/core';
import { type Logger, makeLogger, nestLogger } from '#runtime/logger.js';
import type { SettingsOf } from '#runtime/settings.js';
import type { Closable } from '#runtime/shutdown.js';
import type { workerSettings } from './settings.js';
import { WorkerModule } from './worker.module.js';

export interface WorkerProcess {
  readonly logger: Logger;
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
  return { logger, closables: [{ name: 'jobs and modules', close: () => app.close() }] };
}
