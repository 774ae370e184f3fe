import type { IncomingHttpHeaders } from 'node:http';
import { AppError } from '#runtime/app-error.js';

/** Whether a request shows a key, good or bad. */
export function showsKey({ authorization, 'x-api-key': apiKey }: IncomingHttpHeaders): boolean {
  return authorization !== undefined || apiKey !== undefined;
}

/** The key of the header `authorization`, else of Anthropic's `x-api-key`. Throws invalid_api_key where there is none. */
export function keyOf({ authorization, 'x-api-key': apiKey }: IncomingHttpHeaders): string {
  const key =
    authorization === undefined && typeof apiKey === 'string'
      ? /^ *(\S+) *$/.exec(apiKey)?.[1]
      : /^Bearer +(\S+) *$/i.exec(authorization ?? '')?.[1];
  if (key !== undefined) return key;
  throw new AppError('invalid_api_key', {
    message: 'An API key is required: Authorization: Bearer <key>.',
  });
}
