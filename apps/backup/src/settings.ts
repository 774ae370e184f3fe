import { accountsSettings } from '#accounts/settings.js';
import { logSettings } from '#runtime/logger.js';
import { setting, text } from '#runtime/settings.js';
import { storageSettings } from '#stores/blobs/open-blob-store.js';
import { storesSettings } from '#stores/settings.js';

const { databaseUrl, redisUrl } = storesSettings;

/** As for the servers; the keys need not be known. */
export const backupSettings = {
  databaseUrl,
  redisUrl,
  ...storageSettings,
  ...logSettings,
  adminKey: setting({ ...accountsSettings.adminApiKey }, text.optional()),
  secretsKey: setting(
    {
      name: 'SECRETS_KEY',
      summary: 'Encrypts the secrets of webhooks in the database',
      secret: true,
    },
    text.optional(),
  ),
};
