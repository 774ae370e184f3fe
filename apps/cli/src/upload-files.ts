import { randomUUID } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { type IncomingMessage, request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { type ApiClient, errorOf } from './api-client.js';

export interface UploadFile {
  readonly name: string;
  readonly path: string;
  readonly bytes: number;
}

export interface Upload {
  readonly path: string;
  readonly files: readonly UploadFile[];
  /** The part `metadata`. */
  readonly metadata: object;
  readonly onBytes: (bytes: number) => void;
  readonly signal: AbortSignal;
}

/**
 * Sends files as multipart/form-data straight from the disk. Not by `fetch`: that knows neither the length of a stream
 * in advance nor an answer that comes while the body is still on its way.
 */
export async function uploadFiles<T>(client: ApiClient, upload: Upload): Promise<T> {
  const boundary = `lorikeet-${randomUUID()}`;
  const url = new URL(client.urlOf(upload.path));
  const request = (url.protocol === 'https:' ? httpsRequest : httpRequest)(url, {
    method: 'POST',
    signal: upload.signal,
    headers: {
      ...client.headers,
      'content-type': `multipart/form-data; boundary=${boundary}`,
      'content-length': lengthOf(upload, boundary),
    },
  });
  const answered = new Promise<IncomingMessage>((resolve, reject) => {
    request.once('response', resolve);
    request.once('error', reject);
  });
  answered.catch(() => undefined);
  let sending: unknown;
  const sent = pipeline(Readable.from(bodyOf(upload, boundary)), request).catch((error: unknown) => {
    sending = error;
  });
  // A refusal may come before everything is sent; its text says more than the broken connection.
  const response = await answered.catch(async (error: unknown) => {
    await sent;
    throw client.unreachable(sending ?? error);
  });
  const text = Buffer.concat(await response.toArray()).toString('utf8');
  request.destroy();
  await sent;
  const { statusCode = 0, headers } = response;
  if (statusCode < 300) return JSON.parse(text) as T;
  throw errorOf(statusCode, text, headers['x-request-id'] as string | undefined);
}

async function* bodyOf(upload: Upload, boundary: string): AsyncGenerator<Buffer> {
  yield metadataPart(upload, boundary);
  for (const file of upload.files) {
    yield fileHead(file, boundary);
    for await (const chunk of createReadStream(file.path) as AsyncIterable<Buffer>) {
      yield chunk;
      upload.onBytes(chunk.length);
    }
    yield LINE_END;
  }
  yield tail(boundary);
}

const LINE_END = Buffer.from('\r\n');

function metadataPart({ metadata }: Upload, boundary: string): Buffer {
  const head = `--${boundary}\r\ncontent-disposition: form-data; name="metadata"\r\n\r\n`;
  return Buffer.from(`${head}${JSON.stringify(metadata)}\r\n`);
}

function fileHead({ name }: UploadFile, boundary: string): Buffer {
  const disposition = `content-disposition: form-data; name="files"; filename="${name}"`;
  return Buffer.from(`--${boundary}\r\n${disposition}\r\ncontent-type: application/octet-stream\r\n\r\n`);
}

function tail(boundary: string): Buffer {
  return Buffer.from(`--${boundary}--\r\n`);
}

function lengthOf(upload: Upload, boundary: string): number {
  const files = upload.files.map((file) => fileHead(file, boundary).length + file.bytes + LINE_END.length);
  const around = metadataPart(upload, boundary).length + tail(boundary).length;
  return files.reduce((sum, bytes) => sum + bytes, around);
}
