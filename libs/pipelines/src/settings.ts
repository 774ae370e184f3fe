import { setting, text } from '#runtime/settings.js';
import { z } from 'zod';

/** Injection tokens. */
export const PIPELINES_SETTINGS = Symbol('PIPELINES_SETTINGS');
export const PIPELINES_LOGGER = Symbol('PIPELINES_LOGGER');

const MIN_LENGTH = 32;

const secretsKeys = z
  .string({
    error: `is required: at least ${MIN_LENGTH} random characters, e.g. of \`openssl rand -base64 32\``,
  })
  .transform((value, context) => {
    const keys = value.split(',').map((key) => key.trim());
    if (keys.every((key) => key.length >= MIN_LENGTH)) return keys as [string, ...string[]];
    context.addIssue(`expected keys of at least ${MIN_LENGTH} characters, separated by commas`);
    return z.NEVER;
  });

/** What every process reads that signs or checks webhooks. */
export const pipelinesSettings = {
  secretsKeys: setting(
    {
      name: 'SECRETS_KEY',
      summary:
        'Encrypts the secrets of webhooks in the database. Several, separated by commas: the first one encrypts, all decrypt',
      defaultText: 'generated once under `DATA_DIR` (by `npm start`)',
      secret: true,
    },
    secretsKeys,
  ),
};

/** What only the API reads. */
export const pipelinesApiSettings = {
  publicUrl: setting(
    {
      name: 'PUBLIC_URL',
      summary: 'Where callers outside reach the API, for the URLs that it hands out',
      defaultText: 'as each request addressed it',
    },
    text.optional().superRefine((value, context) => {
      if (value === undefined || /^https?:\/\/[^/?#]+(\/[^?#]*)?$/.test(value)) return;
      context.addIssue(`expected an http(s) URL, got "${value}"`);
    }),
  ),
};
