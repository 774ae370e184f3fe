import { AppError } from '#runtime/app-error.js';

/** The key of a header `authorization`. Throws invalid_api_key where there is none. */
export function bearerOf(header: string | undefined): string {
  const match = /^Bearer +(\S+) *$/i.exec(header ?? '');
  if (match?.[1] !== undefined) return match[1];
  throw new AppError('invalid_api_key', {
    message: 'An API key is required: Authorization: Bearer <key>.',
  });
}
