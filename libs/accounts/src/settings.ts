import { setting } from '#runtime/settings.js';
import { z } from 'zod';

/** Injection tokens. */
export const ACCOUNTS_SETTINGS = Symbol('ACCOUNTS_SETTINGS');
export const ACCOUNTS_LOGGER = Symbol('ACCOUNTS_LOGGER');

const MIN_LENGTH = 16;

const adminApiKey = z
  .string({ error: `is required: the operator's key, at least ${MIN_LENGTH} characters` })
  .regex(new RegExp(`^\\S{${MIN_LENGTH},}$`), `expected at least ${MIN_LENGTH} characters without spaces`);

export const accountsSettings = {
  adminApiKey: setting(
    {
      name: 'ADMIN_API_KEY',
      summary: "The operator's key",
      defaultText: 'generated once under `DATA_DIR` (by `npm start`)',
      secret: true,
    },
    adminApiKey,
  ),
};
