import 'reflect-metadata';
import { runMain } from '#runtime/main.js';
import { parseSettings } from '#runtime/settings.js';
import { onShutdown } from '#runtime/shutdown.js';
import { ModelError } from '#serving/model-error.js';
import { startEngine } from './engine-process.js';
import { engineSettings } from './settings.js';

await runMain(async () => {
  const { logger, loaded, drain, closables } = await startEngine(parseSettings(engineSettings, process.env));
  onShutdown(logger, closables, drain);
  try {
    await loaded;
  } catch (err) {
    // The operator has to change something: a wrong model does not get better by waiting.
    logger.fatal(
      err instanceof ModelError ? {} : { err },
      `the model could not be loaded: ${messageOf(err)}`,
    );
    process.exit(1);
  }
});

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
