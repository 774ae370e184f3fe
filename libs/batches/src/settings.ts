import { setting, text } from '#runtime/settings.js';

/** Injection tokens. */
export const BATCHES_SETTINGS = Symbol('BATCHES_SETTINGS');

export const batchesSettings = {
  maxFileBytes: setting(
    {
      name: 'MAX_FILE_BYTES',
      summary: 'Largest file that `/v1/files` takes',
      defaultText: '200M',
    },
    text.bytes(200 * 2 ** 20),
  ),
  fileRetention_days: setting(
    {
      name: 'FILE_RETENTION_DAYS',
      summary:
        'Days for which files of `/v1/files` are kept where nobody says otherwise (`expires_after`), and batches after their end, or `forever`',
      defaultText: '30',
    },
    text.days('30'),
  ),
};
