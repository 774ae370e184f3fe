import { setting, text } from '#runtime/settings.js';
import { z } from 'zod';
import { oidcSettings } from './sessions/oidc-settings.js';

/** Injection tokens. */
export const ACCOUNTS_SETTINGS = Symbol('ACCOUNTS_SETTINGS');
export const ACCOUNTS_LOGGER = Symbol('ACCOUNTS_LOGGER');
export const CURRENCY = Symbol('CURRENCY');
export const GOODPUT_LIMITS = Symbol('GOODPUT_LIMITS');
export const RESPONSE_STORAGE = Symbol('RESPONSE_STORAGE');

const MIN_LENGTH = 16;

const adminApiKey = z
  .string({ error: `is required: the operator's key, at least ${MIN_LENGTH} characters` })
  .regex(new RegExp(`^\\S{${MIN_LENGTH},}$`), `expected at least ${MIN_LENGTH} characters without spaces`);

/** Of the processes that meter usage. */
export const moneySettings = {
  currency: setting(
    {
      name: 'CURRENCY',
      summary: 'Currency of prices, costs and budgets, as it is shown',
      defaultText: 'USD',
    },
    text.string('USD'),
  ),
};

/** Of the processes that keep answers. */
export const responseSettings = {
  responseStorageBytes: setting(
    {
      name: 'RESPONSE_STORAGE_BYTES',
      summary:
        'Bytes of `/v1/responses` that are kept for one tenant; beyond, what was part of a conversation longest ago is deleted',
      defaultText: '1G',
    },
    text.bytes(2 ** 30),
  ),
};

export const accountsSettings = {
  ...moneySettings,
  ...responseSettings,
  adminApiKey: setting(
    {
      name: 'ADMIN_API_KEY',
      summary: "The operator's key",
      defaultText: 'generated once under `DATA_DIR` (by `npm start`)',
      secret: true,
    },
    adminApiKey,
  ),
  sessionIdle_s: setting(
    {
      name: 'CONSOLE_SESSION_IDLE_SECONDS',
      summary: 'How long a console session lasts without being used',
      defaultText: '43200 (12 hours)',
    },
    text.integer(43_200, 60, 30 * 86_400),
  ),
  sessionMax_s: setting(
    {
      name: 'CONSOLE_SESSION_MAX_SECONDS',
      summary: 'How long a console session lasts in all',
      defaultText: '604800 (7 days)',
    },
    text.integer(604_800, 60, 365 * 86_400),
  ),
  ...oidcSettings,
};
