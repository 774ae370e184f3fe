import { inspectModel } from '#native-engine/load.js';
import { parseSettings } from '#runtime/settings.js';
import { checkModel } from '#serving/model-opening.js';
import { servingSettings } from '#serving/settings.js';

/* What `npm start` runs first: says in one line what is wrong with MODEL_PATH, before anything else has begun. */
try {
  await checkModel(parseSettings(servingSettings, process.env), inspectModel);
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
