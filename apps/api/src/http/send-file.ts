import type { Readable } from 'node:stream';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { AppError } from '#runtime/app-error.js';
import type { OpenStreams } from '#runtime/open-streams.js';
import type { BlobInfo } from '#stores/blobs/blob-store.js';
import { type ByteRange, readRange } from './byte-range.js';
import { followClient } from './client-connection.js';

export interface SentFile {
  readonly blob: BlobInfo;
  readonly open: (range: ByteRange) => Promise<Readable>;
  readonly streams: OpenStreams;
}

/** Answers with a file, or with the part of it that the request asks for. Its `etag` is the SHA-256 of the whole file. */
export async function sendFile(
  { blob: { sha256, bytes }, open, streams }: SentFile,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<void> {
  const etag = `"${sha256}"`;
  void reply.headers({ etag, 'accept-ranges': 'bytes', 'cache-control': 'private, no-cache' });
  if (request.headers['if-none-match'] === etag) return void reply.status(304).send();
  const range = readRange(request.headers, bytes, etag);
  if (range === 'unsatisfiable') {
    void reply.header('content-range', `bytes */${bytes}`);
    throw new AppError('range_not_satisfiable', {
      message: `The file has ${bytes} bytes.`,
      param: 'range',
    });
  }
  const { begin, end } = range === 'whole' ? { begin: 0, end: bytes } : range;
  const body = await open({ begin, end });
  const { controller, done } = followClient(reply, streams);
  controller.signal.addEventListener('abort', () => body.destroy());
  body.once('close', done);
  void reply.headers({ 'content-length': end - begin, 'content-disposition': 'attachment' });
  if (range !== 'whole') {
    void reply.status(206).header('content-range', `bytes ${begin}-${end - 1}/${bytes}`);
  }
  void reply.type('application/octet-stream').send(body);
}
