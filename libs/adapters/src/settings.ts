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
};
