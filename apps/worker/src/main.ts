import 'reflect-metadata';
import { runMain } from '#runtime/main.js';
import { parseSettings } from '#runtime/settings.js';
import { onShutdown } from '#runtime/shutdown.js';
import { workerSettings } from './settings.js';
import { startWorker } from './worker-process.js';

await runMain(async () => {
  const { logger, drain, closables } = await startWorker(parseSettings(workerSettings, process.env));
  onShutdown(logger, closables, drain);
});
