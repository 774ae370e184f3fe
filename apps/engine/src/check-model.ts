import { inspectModel as inspectNative, probeCuda } from '#native-engine/load.js';
import { dataDirSettings } from '#runtime/data-dir.js';
import { hubSettings } from '#runtime/hub-settings.js';
import { parseSettings } from '#runtime/settings.js';
import { checkModel } from '#serving/model-opening.js';
import { servingSettings } from '#serving/settings.js';
import { withLocalModel } from './model-place.js';

/*
 * What `npm start` runs first: says in one line what is wrong with MODEL_PATH or DEVICE, before anything else has begun. What lies
 * at the Hub is pulled here already, with its progress on standard error.
 */
const say = (line: string): void => void process.stderr.write(`${line}\n`);
let told_percent = -10;
try {
  const settings = parseSettings({ ...servingSettings, ...hubSettings, ...dataDirSettings }, process.env);
  const local = await withLocalModel(settings, {
    signal: new AbortController().signal,
    onNotice: say,
    onProgress: ({ doneBytes, totalBytes }) => {
      const percent = totalBytes === 0 ? 0 : Math.floor((100 * doneBytes) / totalBytes);
      if (percent < told_percent + 10) return;
      told_percent = percent;
      say(`${settings.modelPath}: ${percent} % of ${totalBytes} bytes`);
    },
  });
  await checkModel(local, { inspectNative, probeCuda });
} catch (error) {
  say(error instanceof Error ? error.message : String(error));
  process.exitCode = 1;
}
