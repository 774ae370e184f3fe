import { setting, text } from '../settings.js';

/** What every process that calls tenants' URLs reads. */
export const outboundSettings = {
  allowPrivateImports: setting(
    {
      name: 'ALLOW_PRIVATE_IMPORTS',
      summary: 'Let imports and webhook targets reach private addresses, and plain http',
      defaultText: 'false',
    },
    text.boolean(false),
  ),
};
