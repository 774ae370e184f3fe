import { z } from 'zod';
import { dataDirSettings } from '#runtime/data-dir.js';
import { shutdownSettings } from '#runtime/drain.js';
import { hubSettings } from '#runtime/hub-settings.js';
import { logSettings } from '#runtime/logger.js';
import { setting, text } from '#runtime/settings.js';
import { tracingSettings } from '#runtime/tracing/settings.js';
import { servingSettings } from '#serving/settings.js';
import { blobCacheSettings, storageSettings } from '#stores/blobs/open-blob-store.js';

const optionalOrigin = z
  .string()
  .optional()
  .transform((value, context) => {
    if (value === undefined) return undefined;
    if (URL.canParse(value) && /^https?:$/.test(new URL(value).protocol)) return new URL(value).origin;
    context.addIssue(`expected http://host:port, got "${value}"`);
    return z.NEVER;
  });

/** Everything that the engine process reads from its environment. */
export const engineSettings = {
  enginePort: setting(
    {
      name: 'ENGINE_PORT',
      summary: "Port of the engine's internal HTTP; 0 takes a free one",
      defaultText: '8090',
    },
    text.integer(8090, 0, 65_535),
  ),
  engineHost: setting(
    { name: 'ENGINE_HOST', summary: 'Address that the engine listens on', defaultText: '127.0.0.1' },
    text.string('127.0.0.1'),
  ),
  engineToken: setting(
    { name: 'ENGINE_TOKEN', summary: 'Secret that callers of the engine send as bearer token', secret: true },
    z.string({ error: 'is required: a secret that the API and the worker know too' }) as unknown as z.ZodType<
      string,
      string | undefined
    >,
  ),
  engineName: setting(
    { name: 'ENGINE_NAME', summary: 'Stable name of this engine', defaultText: 'cpu-0' },
    text.string('cpu-0'),
  ),
  controlUrl: setting(
    {
      name: 'CONTROL_URL',
      summary:
        'An API (or what stands before several) with which the engine registers itself, so that it need not stand in `ENGINE_URLS`',
    },
    optionalOrigin,
  ),
  engineUrl: setting(
    {
      name: 'ENGINE_URL',
      summary: 'Where APIs and workers reach this engine, when it registers itself',
      defaultText: 'ENGINE_HOST and ENGINE_PORT',
    },
    optionalOrigin,
  ),
  ...dataDirSettings,
  ...storageSettings,
  ...blobCacheSettings,
  ...servingSettings,
  ...hubSettings,
  ...logSettings,
  ...tracingSettings,
  shutdownTimeout_s: shutdownSettings.shutdownTimeout_s,
};
