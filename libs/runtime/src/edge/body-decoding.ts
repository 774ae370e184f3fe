import type { IncomingMessage } from 'node:http';
import type { Readable, Transform } from 'node:stream';
import { createBrotliDecompress, createGunzip, createInflate } from 'node:zlib';
import { AppError } from '#runtime/app-error.js';

const DECODERS: Readonly<Record<string, () => Transform>> = {
  gzip: () => createGunzip(),
  'x-gzip': () => createGunzip(),
  deflate: () => createInflate(),
  br: () => createBrotliDecompress(),
};

const ACCEPTED_ENCODINGS = 'gzip, deflate, br';

/** How the body is packed; undefined: not at all. Throws unsupported_media_type for what cannot be unpacked. */
export function encodingOf({ headers }: IncomingMessage): string | undefined {
  const encoding = headers['content-encoding']?.trim().toLowerCase() ?? '';
  if (encoding === '' || encoding === 'identity') return undefined;
  if (Object.hasOwn(DECODERS, encoding)) return encoding;
  throw new AppError('unsupported_media_type', {
    message: `The content-encoding "${encoding.slice(0, 40)}" is not supported; use one of ${ACCEPTED_ENCODINGS}, or none.`,
    param: 'content-encoding',
    headers: { 'accept-encoding': ACCEPTED_ENCODINGS },
  });
}

/** The body unpacked, piece by piece: who reads it stops where it gets too much. */
export function decoded(request: IncomingMessage, encoding: string | undefined): Readable {
  const makeDecoder = encoding === undefined ? undefined : DECODERS[encoding];
  if (!makeDecoder) return request;
  const decoder = makeDecoder();
  request.once('error', (error) => decoder.destroy(error));
  request.once('close', () => {
    if (!request.readableEnded) decoder.destroy(new Error('the connection was closed'));
  });
  return request.pipe(decoder);
}
