import { importSettings } from '#adapters/imports/settings.js';
import { adaptersSettings } from '#adapters/settings.js';
import { fleetSettings } from '#fleet/settings.js';
import { pipelinesSettings, pipelinesWorkerSettings } from '#pipelines/settings.js';
import { dataDirSettings } from '#runtime/data-dir.js';
import { shutdownSettings } from '#runtime/drain.js';
import { logSettings } from '#runtime/logger.js';
import { outboundSettings } from '#runtime/outbound/settings.js';
import { setting, text } from '#runtime/settings.js';
import { storesSettings } from '#stores/settings.js';

/** Every setting of the worker process. */
export const workerSettings = {
  workerConcurrency: setting(
    { name: 'WORKER_CONCURRENCY', summary: 'Adapters that one worker validates at once', defaultText: '2' },
    text.integer(2, 1, 64),
  ),
  deleteGrace_s: setting(
    {
      name: 'DELETE_GRACE_S',
      summary:
        "Seconds for which a deleted version's files are kept at least, for requests that began before",
      defaultText: '10',
    },
    text.integer(10, 0, 3_600),
  ),
  ...logSettings,
  shutdownTimeout_s: shutdownSettings.shutdownTimeout_s,
  ...storesSettings,
  ...outboundSettings,
  parityCheck: setting(
    {
      name: 'PARITY_CHECK',
      summary:
        'Compare each uploaded adapter, as it is served, with its weights merged densely into the base, before it becomes ready: `on`, `off`, or `auto`: on for base models of at most 50 million parameters (it takes 4 bytes of memory for each while it runs)',
      defaultText: 'auto',
    },
    text.oneOf(['auto', 'on', 'off'], 'auto'),
  ),
  ...adaptersSettings,
  ...importSettings,
  ...dataDirSettings,
  ...fleetSettings,
  ...pipelinesSettings,
  ...pipelinesWorkerSettings,
};
