import { createHash, randomUUID } from 'node:crypto';
import { PassThrough, Readable } from 'node:stream';
import { Busboy } from '@fastify/busboy';
import type { FastifyRequest } from 'fastify';
import { RawJson } from '#contracts/raw-json.js';

const MOST_PARTS = 1_000;

export type Asked = Pick<FastifyRequest, 'method' | 'url' | 'body' | 'headers'>;

/** Whether the body comes as a stream, so that what it asks for is known only once all of it has come. */
export function isStreamed({ body }: Asked): boolean {
  return body instanceof Readable;
}

/** SHA-256 of what a request asks for. Members of objects may come in any order. */
export function jsonFingerprint({ method, url, body }: Asked): string {
  return digest([method, url, canonical(body)]);
}

/**
 * The same of a multipart body, whose parts may come in any order and between any boundaries. What cannot be read is equal
 * to nothing.
 */
export async function formFingerprint({ method, url, headers }: Asked, body: Readable): Promise<string> {
  try {
    return digest([method, url, ...(await partsOf(headers, body))]);
  } catch {
    return `unreadable ${randomUUID()}`;
  }
}

/** A second stream of the same bytes: one reader may not wait for the other to begin. */
export function copyOf(body: Readable): Readable {
  const copy = new PassThrough();
  body.pipe(copy);
  body.once('error', (error) => copy.destroy(error));
  body.once('close', () => {
    if (!body.readableEnded) copy.destroy();
  });
  return copy;
}

function partsOf(headers: Asked['headers'], body: Readable): Promise<string[]> {
  return new Promise((resolve, reject) => {
    const parser = new Busboy({
      headers: { ...headers, 'content-type': headers['content-type'] ?? '' },
      limits: { parts: MOST_PARTS },
    });
    const fail = (error: Error): void => {
      body.unpipe(parser);
      body.resume();
      reject(error);
    };
    const parts: Promise<string>[] = [];
    parser.on('file', (field, stream, fileName) => {
      parts.push(contentDigest(stream).then((content) => digest(['file', field, fileName, content])));
    });
    parser.on('field', (field, value) => parts.push(Promise.resolve(digest(['field', field, value]))));
    parser.once('partsLimit', () => fail(new Error('too many parts')));
    parser.once('error', fail);
    parser.once('finish', () => Promise.all(parts).then((all) => resolve(all.sort()), fail));
    body.once('error', fail);
    body.once('close', () => body.readableEnded || fail(new Error('the body broke off')));
    body.pipe(parser);
  });
}

async function contentDigest(stream: Readable): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of stream as AsyncIterable<Buffer>) hash.update(chunk);
  return hash.digest('hex');
}

/** JSON with sorted keys, and numbers as they were spelled where that is known. */
function canonical(value: unknown): string {
  if (value instanceof RawJson) return value.text;
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? '';
  const members = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${members.map(([name, member]) => `${JSON.stringify(name)}:${canonical(member)}`).join(',')}}`;
}

function digest(texts: readonly (string | undefined)[]): string {
  return createHash('sha256').update(JSON.stringify(texts)).digest('hex');
}
