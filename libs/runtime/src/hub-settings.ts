import { setting, text } from './settings.js';

/** Where `hf://` leads. */
export const hubSettings = {
  hfEndpoint: setting(
    {
      name: 'HF_ENDPOINT',
      summary: 'The Hub behind `hf://` imports and `MODEL_PATH=hf://...`; may be a private address',
      defaultText: 'https://huggingface.co',
    },
    text.url('https://huggingface.co', ['https:', 'http:']),
  ),
  hfToken: setting(
    {
      name: 'HF_TOKEN',
      summary:
        "The Hub's token for every tenant's `hf://` imports, and for `MODEL_PATH=hf://...`; give the worker's only what all tenants may read",
      secret: true,
    },
    text.optional(),
  ),
};
