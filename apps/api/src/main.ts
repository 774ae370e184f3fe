import 'reflect-metadata';
import { runMain } from '#runtime/main.js';
import { parseSettings } from '#runtime/settings.js';
import { onShutdown } from '#runtime/shutdown.js';
import { startApi } from './api-process.js';
import { apiSettings } from './settings.js';

await runMain(async () => {
  const { logger, drain, closables } = await startApi(parseSettings(apiSettings, process.env));
  onShutdown(logger, closables, drain);
});
