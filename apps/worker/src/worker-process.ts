import { makeHttpApp } from '#runtime/http-app.js';
import { type Logger, makeLogger } from '#runtime/logger.js';
import { makeRegistry } from '#runtime/metrics.js';
import type { SettingsOf } from '#runtime/settings.js';
import type { Closable, Drain } from '#runtime/shutdown.js';
import { startTracing } from '#runtime/tracing/start-tracing.js';
import type { Queues } from '#stores/queue/job-queue.js';
import { QUEUES } from '#stores/stores.module.js';
import type { workerSettings } from './settings.js';
import { WorkerModule } from './worker.module.js';

export interface WorkerProcess {
  readonly logger: Logger;
  /** Before the closables: no job is taken any more, and those that run come to their end. */
  readonly drain: Drain;
  /** Where it answers `/health` and `/metrics`. */
  readonly url: string;
  readonly closables: readonly Closable[];
}

/** Starts the background jobs; tests start them in their own process as well. */
export async function startWorker(settings: SettingsOf<typeof workerSettings>): Promise<WorkerProcess> {
  const logger = makeLogger('worker', settings.logLevel);
  const tracing = await startTracing('worker', settings, logger);
  const app = await makeHttpApp({
    module: WorkerModule.forRoot({ settings, logger, registry: makeRegistry('worker'), tracing }),
    logger,
  });
  await app.listen(settings.workerPort, settings.workerHost);
  const url = await app.getUrl();
  logger.info({ url }, 'the worker waits for jobs');
  const limit_ms = settings.shutdownTimeout_s * 1000;
  const drain = { limit_ms, run: () => app.get<Queues>(QUEUES, { strict: false }).drain(limit_ms) };
  const closables = [
    { name: 'jobs and modules', close: () => app.close() },
    ...(tracing ? [{ name: 'traces', close: () => tracing.close() }] : []),
  ];
  return { logger, url, drain, closables };
}
