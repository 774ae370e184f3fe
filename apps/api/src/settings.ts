import { BUILT_CONSOLE } from './console/built-console.js';
import { accountsSettings } from '#accounts/settings.js';
import { adaptersSettings } from '#adapters/settings.js';
import { batchesSettings } from '#batches/settings.js';
import { fleetSettings } from '#fleet/settings.js';
import { pipelinesApiSettings, pipelinesSettings } from '#pipelines/settings.js';
import { corsSettings, edgeSettings } from '#runtime/edge/settings.js';
import { shutdownSettings } from '#runtime/drain.js';
import { goodputSettings } from '#runtime/goodput.js';
import { logSettings } from '#runtime/logger.js';
import { tracingSettings } from '#runtime/tracing/settings.js';
import { outboundSettings } from '#runtime/outbound/settings.js';
import { setting, text } from '#runtime/settings.js';
import { storesSettings } from '#stores/settings.js';

/** Every setting of the API process. */
export const apiSettings = {
  port: setting(
    { name: 'PORT', summary: 'Port of the public API and the console', defaultText: '8080' },
    text.integer(8080, 0, 65_535),
  ),
  host: setting(
    { name: 'HOST', summary: 'Address on which the public API listens', defaultText: '127.0.0.1' },
    text.string('127.0.0.1'),
  ),
  consolePath: setting(
    {
      name: 'CONSOLE_PATH',
      summary: 'Folder of the built console; without an index.html in it, none is served',
      defaultText: '`build/console` of the repository',
    },
    text.string(BUILT_CONSOLE),
  ),
  ...edgeSettings,
  ...corsSettings,
  ...goodputSettings,
  ...logSettings,
  ...tracingSettings,
  ...shutdownSettings,
  ...accountsSettings,
  ...storesSettings,
  ...outboundSettings,
  ...adaptersSettings,
  ...batchesSettings,
  ...fleetSettings,
  ...pipelinesSettings,
  ...pipelinesApiSettings,
};
