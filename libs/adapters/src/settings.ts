import { setting, text } from '#runtime/settings.js';

/** Injection tokens. */
export const ADAPTERS_SETTINGS = Symbol('ADAPTERS_SETTINGS');
export const ADAPTERS_LOGGER = Symbol('ADAPTERS_LOGGER');

export const adaptersSettings = {
  maxUploadBytes: setting(
    {
      name: 'MAX_UPLOAD_BYTES',
      summary: 'Largest adapter_model.safetensors that an upload may carry',
      defaultText: '4G',
    },
    text.bytes(4 * 2 ** 30),
  ),
  pendingChange_days: setting(
    {
      name: 'ALIAS_CHANGE_EXPIRY_DAYS',
      summary:
        'Days for which a change of a protected alias waits for a second key before it expires, or `forever`',
      defaultText: '7',
    },
    text.days('7'),
  ),
};
