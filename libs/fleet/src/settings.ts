import { z } from 'zod';
import { setting } from '#runtime/settings.js';

/** Parses `http://host:port, http://host:port` to origins. */
const engineUrls = z
  .string()
  .optional()
  .transform((value, context): readonly string[] => {
    if (value === undefined) return [];
    const urls = value.split(',').map((url) => url.trim());
    for (const url of urls) {
      if (!isOrigin(url)) context.addIssue(`expected http://host:port, separated by commas, got "${url}"`);
    }
    if (new Set(urls).size !== urls.length) context.addIssue('names an engine twice');
    return urls;
  });

function isOrigin(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const url = new URL(text);
  return ['http:', 'https:'].includes(url.protocol) && url.pathname === '/' && url.search === '';
}

export const fleetSettings = {
  engineUrls: setting(
    {
      name: 'ENGINE_URLS',
      summary:
        'The engines that serve requests, separated by commas; engines may also register themselves (`CONTROL_URL`)',
    },
    engineUrls,
  ),
  engineToken: setting(
    { name: 'ENGINE_TOKEN', summary: 'The secret shared with the engines', secret: true },
    z.string({ error: 'expected the secret that the engines were started with' }),
  ),
};
