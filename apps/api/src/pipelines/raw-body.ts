import { Readable } from 'node:stream';
import type { FastifyInstance, FastifyRequest, preParsingAsyncHookHandler } from 'fastify';
import { AppError } from '#runtime/app-error.js';

/** The route whose body is read as it came: its signature covers the bytes, not what JSON makes of them. */
export const SIGNED_ROUTE = '/v1/hooks/fine-tune/:id';

const LIMIT_BYTES = 2 ** 20;
const bodies = new WeakMap<FastifyRequest, Buffer>();

/** Must be called before the routes are registered. */
export function keepSignedBodies(fastify: FastifyInstance): void {
  fastify.addHook('onRoute', (route) => {
    if (route.url === SIGNED_ROUTE && [route.method].flat().includes('POST')) route.preParsing = keep;
  });
}

/** The body of a request to SIGNED_ROUTE. */
export function signedBodyOf(request: FastifyRequest): Buffer {
  return bodies.get(request) ?? Buffer.alloc(0);
}

/** Gives the parser an empty object: nothing of the body is looked at before its signature is. */
const keep: preParsingAsyncHookHandler = async (request, _reply, payload) => {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of payload as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > LIMIT_BYTES) {
      throw new AppError('payload_too_large', { message: `An event has at most ${LIMIT_BYTES} bytes.` });
    }
    chunks.push(chunk);
  }
  bodies.set(request, Buffer.concat(chunks));
  // Fastify compares what it received with the header content-length.
  return Object.assign(Readable.from([Buffer.from('{}')]), { receivedEncodedLength: bytes });
};
