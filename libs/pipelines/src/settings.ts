import { setting, text } from '#runtime/settings.js';
import { z } from 'zod';
import { RETRY_SCHEDULE_S } from './webhooks/retry-schedule.js';

/** Injection tokens. */
export const PIPELINES_SETTINGS = Symbol('PIPELINES_SETTINGS');
export const PIPELINES_LOGGER = Symbol('PIPELINES_LOGGER');

const MIN_LENGTH = 32;
const MAX_DELAY_S = 7 * 24 * 3600;

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
      defaultText: 'the address that it listens on',
    },
    text.optional().superRefine((value, context) => {
      if (value === undefined || /^https?:\/\/[^/?#]+(\/[^?#]*)?$/.test(value)) return;
      context.addIssue(`expected an http(s) URL, got "${value}"`);
    }),
  ),
};

/** What only the worker reads. */
export const pipelinesWorkerSettings = {
  webhookRetention_days: setting(
    {
      name: 'WEBHOOK_RETENTION_DAYS',
      summary: 'Days for which ended deliveries of webhooks are kept, or `forever`',
      defaultText: '30',
    },
    text.days('30'),
  ),
  hookRetention_days: setting(
    {
      name: 'HOOK_RETENTION_DAYS',
      summary:
        'Days for which ended events of hooks are kept, or `forever`; for so long a repeated `webhook-id` is known',
      defaultText: '90',
    },
    text.days('90'),
  ),
  webhookSchedule_s: setting(
    {
      name: 'WEBHOOK_RETRY_SCHEDULE',
      summary:
        'Seconds before each attempt to deliver a webhook, each counted from the one before; up to a tenth is added',
      defaultText: RETRY_SCHEDULE_S.join(','),
    },
    z
      .string()
      .default(RETRY_SCHEDULE_S.join(','))
      .transform((value, context) => {
        const delays_s = value.split(',').map(Number);
        if (delays_s.length <= 100 && delays_s.every((delay_s) => delay_s >= 0 && delay_s <= MAX_DELAY_S))
          return delays_s;
        context.addIssue(
          `expected at most 100 numbers from 0 to ${MAX_DELAY_S}, separated by commas, got "${value}"`,
        );
        return z.NEVER;
      }),
  ),
  webhookTimeout_ms: setting(
    {
      name: 'WEBHOOK_TIMEOUT_MS',
      summary: 'How long the receiver of a webhook may take to answer',
      defaultText: '15000',
    },
    text.integer(15_000, 100, 120_000),
  ),
};
