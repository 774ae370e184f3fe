import type { IncomingMessage } from 'node:http';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { AppError } from '#runtime/app-error.js';
import { BodyBudget } from './body-budget.js';
import { encodingOf } from './body-decoding.js';
import { type BodyKind, type BodyRoute, EXPECTED_TYPE, takesType } from './body-kinds.js';
import { BodyPieces, tooManyPieces } from './body-pieces.js';
import type { Admission, EdgeOptions } from './edge-options.js';
import { FairWork } from './fair-work.js';
import { IncomingBodies } from './incoming-bodies.js';
import { JsonScanner, jsonLimits } from './json-scanner.js';
import { parseScanned } from './parse-json.js';
import { BodyReceiver, tooLarge } from './receive-body.js';
import type { RouteTable } from './route-table.js';
import { Turns } from './turns.js';
import { UnreadBodies } from './unread-bodies.js';

/** Larger JSON is parsed in turns with that of other callers. */
const PARSE_AT_ONCE_BYTES = 16 * 1024;

/** Methods whose bodies nobody reads. */
const BODYLESS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'DELETE', 'OPTIONS']);

interface EdgeParts {
  readonly options: EdgeOptions;
  readonly routes: RouteTable;
  readonly admission: () => Admission;
}

/** How a body that is held in memory is read. */
interface HeldBody {
  readonly owner: string;
  readonly limitBytes: number;
  readonly isSigned: boolean;
  readonly verbatim: readonly string[] | undefined;
}

/**
 * What happens to a request before its handler, in this order: is there such a route, may the caller send a body, is it
 * of a type and size that the route takes; only then is a byte of it read, within the limits of time and memory.
 */
export class Edge {
  readonly #budget: BodyBudget;
  readonly #bodies: IncomingBodies;
  readonly #pieces = new BodyPieces();
  readonly #unread = new UnreadBodies(this.#pieces);
  readonly #turns = new Turns();
  readonly #work = new FairWork();
  #closing = false;

  constructor(private readonly parts: EdgeParts) {
    this.#budget = new BodyBudget(parts.options.budget);
    this.#bodies = new IncomingBodies(parts.options.pace);
  }

  /** Must be called before the routes are registered. */
  attach(fastify: FastifyInstance): void {
    fastify.removeAllContentTypeParsers();
    // By the time that Fastify asks, the body is there.
    fastify.addContentTypeParser('*', (request, _payload, done) => done(null, request.body));
    fastify.addHook('onRequest', (request, reply) => this.#onRequest(request, reply));
    fastify.addHook('preClose', async () => {
      this.#closing = true;
    });
    fastify.addHook('onClose', async () => {
      this.#bodies.close();
      this.#unread.close();
    });
    // Node would welcome every body, and answer other expectations, before we know of the request.
    for (const event of ['checkContinue', 'checkExpectation'])
      fastify.server.on(event, (...args) => fastify.server.emit('request', ...args));
    fastify.server.prependListener('request', (request, response) => {
      if (!carriesBody(request)) return;
      this.#pieces.watch(request);
      response.once('finish', () => this.#unread.answered(request));
    });
  }

  async #onRequest(request: FastifyRequest, reply: FastifyReply): Promise<void> {
    void reply.header('x-request-id', request.id);
    if (this.#closing) {
      void reply.header('connection', 'close');
      throw new AppError('engine_unavailable', { message: 'The server is shutting down.', retryAfter_s: 1 });
    }
    checkHead(request);
    if (request.is404) throw this.parts.routes.fault(request);
    if (BODYLESS.has(request.method)) return;
    const turn = this.#turns.take();
    if (turn) await turn;
    const owner = await this.parts.admission().admit(request);
    if (carriesBody(request.raw)) await this.#takeBody(request, reply, owner);
  }

  async #takeBody(request: FastifyRequest, reply: FastifyReply, owner: string): Promise<void> {
    const { body: kind = 'json', verbatim } = request.routeOptions.config as BodyRoute;
    const mediaType = mediaTypeOf(request);
    checkType(kind, mediaType, request);
    const isStreamed = kind === 'octets' || (kind === 'files' && mediaType.startsWith('multipart/'));
    const limitBytes = this.#limitOf(kind);
    if (!isStreamed && Number(request.headers['content-length'] ?? 0) > limitBytes)
      throw tooLarge(limitBytes);
    if (request.headers.expect !== undefined) reply.raw.writeContinue();
    if (isStreamed) {
      this.#bodies.watch(request.raw, () => request.raw.destroy(late()));
      this.#pieces.onTooMany(request.raw, () => request.raw.destroy(tooManyPieces()));
      request.body = request.raw;
    } else
      request.body = await this.#receive(request, reply, {
        owner,
        limitBytes,
        isSigned: kind === 'signed',
        verbatim,
      });
  }

  #limitOf(kind: BodyKind): number {
    const { json, prompt, signed } = this.parts.options.bodyLimits;
    if (kind === 'prompt') return prompt;
    return kind === 'signed' ? signed : json;
  }

  async #receive(
    request: FastifyRequest,
    reply: FastifyReply,
    { owner, limitBytes, isSigned, verbatim }: HeldBody,
  ): Promise<unknown> {
    const holder = { socket: request.raw.socket, address: request.ip, owner };
    const scanner = isSigned ? undefined : new JsonScanner(jsonLimits(limitBytes));
    const receiver = new BodyReceiver({
      limitBytes,
      holder,
      budget: this.#budget,
      work: this.#work,
      scanner,
    });
    reply.raw.once('close', () => receiver.release());
    const bytes = await this.#inTime(request, reply, receiver);
    if (!scanner) return bytes;
    if (bytes.length === 0) return undefined;
    if (bytes.length <= PARSE_AT_ONCE_BYTES) return parseScanned(bytes, scanner, verbatim);
    try {
      return await this.#work.finish(owner, () => parseScanned(bytes, scanner, verbatim));
    } finally {
      receiver.free();
    }
  }

  async #inTime({ raw }: FastifyRequest, reply: FastifyReply, receiver: BodyReceiver): Promise<Buffer> {
    const received = receiver.receive(raw);
    received.catch(() => undefined); // its fault after it was late
    return new Promise((resolve, reject) => {
      const refuse = (error: AppError) => {
        void reply.header('connection', 'close');
        reject(error);
      };
      this.#bodies.watch(raw, () => refuse(late()));
      this.#pieces.onTooMany(raw, () => refuse(tooManyPieces()));
      received.then(resolve, reject);
    });
  }
}

/** Text that no part of the product may hold is refused here, whatever it is for. */
function checkHead({ raw, url }: FastifyRequest): void {
  if (raw.httpVersionMinor > 0 && raw.headers.host === undefined)
    throw new AppError('invalid_request', { message: 'The header host is missing.', param: 'host' });
  if (/%00/.test(url))
    throw new AppError('invalid_request', { message: 'The URL holds U+0000, which no text here may.' });
  const { expect } = raw.headers;
  if (expect !== undefined && expect.toLowerCase() !== '100-continue')
    throw new AppError('expectation_failed', {
      message: 'The only expectation that is met is 100-continue.',
    });
}

function carriesBody({ headers }: IncomingMessage): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0;
}

function mediaTypeOf({ headers }: FastifyRequest): string {
  return (headers['content-type'] ?? '').split(';', 1)[0]!.trim().toLowerCase();
}

function checkType(kind: BodyKind, mediaType: string, request: FastifyRequest): void {
  if (!takesType(kind, mediaType)) {
    const got = mediaType === '' ? 'no content-type' : `"${mediaType.slice(0, 60)}"`;
    throw new AppError('unsupported_media_type', {
      message: `expected content-type: ${EXPECTED_TYPE[kind]}, got ${got}`,
      param: 'content-type',
    });
  }
  const encoding = encodingOf(request.raw);
  if (encoding !== undefined && (kind === 'octets' || mediaType.startsWith('multipart/')))
    throw new AppError('unsupported_media_type', {
      message: 'Files are sent without a content-encoding.',
      param: 'content-encoding',
    });
}

function late(): AppError {
  return new AppError('request_timeout', { message: 'The body did not come fast enough.' });
}
