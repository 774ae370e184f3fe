import { randomUUID } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import type { DynamicModule, Type } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import type { FastifyRequest } from 'fastify';
import { AccessLog } from './access-log.js';
import { limitConnections } from './edge/connection-limits.js';
import { Edge } from './edge/edge.js';
import { Admission, EDGE_DEFAULTS, type EdgeOptions } from './edge/edge-options.js';
import { answerClientError, answerRefusedConnections } from './edge/raw-answer.js';
import { RouteTable } from './edge/route-table.js';
import { proxyCheck } from './edge/trusted-proxies.js';
import { AppError, toEnvelope } from './app-error.js';
import { ErrorFilter } from './error-filter.js';
import { type Logger, nestLogger } from './logger.js';
import { inRequest } from './request-context.js';
import { type HttpTracing, RequestSpans } from './tracing/request-spans.js';
import { followUnusedConnections } from './unused-connections.js';

export interface HttpAppOptions {
  /** Provides Admission, which says who may send a body; without it nobody may. */
  readonly module: Type | DynamicModule;
  readonly logger: Logger;
  readonly edge?: Partial<EdgeOptions>;
  /** Where the requests' spans go; absent: none is traced. */
  readonly tracing?: HttpTracing | undefined;
  /** At which level each answered request is logged; `debug` when absent. */
  readonly accessLevel?: 'info' | 'debug';
}

const REQUEST_ID = /^[\w.:-]{1,128}$/;
/** Names have at most 128 characters, which may come percent-encoded; the URL as a whole is bounded with the headers. */
const MAX_PARAM_CHARS = 2_048;
const MAX_HEADER_BYTES = 16 * 1024;

/** Takes the client's `x-request-id` when it is well-formed, else makes one. */
function requestIdOf(request: { headers: FastifyRequest['headers'] }): string {
  const given = request.headers['x-request-id'];
  return typeof given === 'string' && REQUEST_ID.test(given) ? given : randomUUID();
}

/** A Nest application on Fastify with what every one of our servers does: the edge, request ids, error envelopes. */
export async function makeHttpApp(options: HttpAppOptions): Promise<NestFastifyApplication> {
  const edgeOptions = { ...EDGE_DEFAULTS, ...options.edge };
  const adapter = makeAdapter(edgeOptions);
  const fastify = adapter.getInstance();
  const access = new AccessLog(options.logger, options.accessLevel ?? 'debug');
  const spans = options.tracing && new RequestSpans(options.tracing);
  fastify.addHook('onRequest', async (request, reply) => {
    spans?.follow(request, reply);
    access.follow(request, reply);
  });
  const routes = new RouteTable(fastify);
  let admission: Admission | undefined;
  const edge = new Edge({
    options: edgeOptions,
    routes,
    admission: () => {
      if (!admission) throw new AppError('engine_unavailable', { message: 'The server is still starting.' });
      return admission;
    },
  });
  edge.attach(fastify);
  // For who reads it in a terminal.
  fastify.addHook('onSend', async (_request, reply, payload) => {
    const isJson = String(reply.getHeader('content-type') ?? '').startsWith('application/json');
    return isJson && typeof payload === 'string' && !payload.endsWith('\n') ? `${payload}\n` : payload;
  });
  limitConnections(fastify.server, edgeOptions.connections, proxyCheck(edgeOptions.trustProxy));
  answerRefusedConnections(fastify.server);
  // The first hook after the body was read: what the socket's events started would not know of the request.
  fastify.addHook('preValidation', (request, _reply, done) => {
    inRequest({ requestId: request.id, address: request.ip, span: spans?.of(request) }, () => {
      access.remember(request);
      done();
    });
  });
  const closeUnused = followUnusedConnections(fastify.server);
  fastify.addHook('preClose', async () => closeUnused());
  const app = await NestFactory.create<NestFastifyApplication>(options.module, adapter, {
    logger: nestLogger(options.logger),
    abortOnError: false,
    bodyParser: false,
  });
  admission = admissionOf(app);
  app.useGlobalFilters(new ErrorFilter(options.logger));
  return app;
}

function admissionOf(app: NestFastifyApplication): Admission {
  const nobody: Admission = {
    admit: () => Promise.reject(new AppError('invalid_request', { message: 'This server takes no bodies.' })),
  };
  try {
    return app.get(Admission, { strict: false });
  } catch {
    return nobody;
  }
}

function makeAdapter({ headers_ms, trustProxy }: EdgeOptions): FastifyAdapter {
  return new FastifyAdapter({
    genReqId: requestIdOf,
    requestIdHeader: false,
    trustProxy:
      typeof trustProxy === 'number' ? (_address, hop) => hop < trustProxy : trustProxy && [...trustProxy],
    forceCloseConnections: 'idle',
    return503OnClosing: false, // the edge says it in our envelope
    routerOptions: { maxParamLength: MAX_PARAM_CHARS },
    frameworkErrors: answerFrameworkError,
    clientErrorHandler: answerClientError,
    http: {
      maxHeaderSize: MAX_HEADER_BYTES,
      headersTimeout: headers_ms,
      connectionsCheckingInterval: 1_000,
      requireHostHeader: false, // the edge says it in our envelope
    },
  });
}

/** What Fastify's router refuses before any hook: a URL that cannot be decoded, a parameter that is too long. */
function answerFrameworkError(
  error: { readonly statusCode?: number },
  { id }: { readonly id: string },
  reply: { readonly raw: unknown },
): void {
  const fault =
    error.statusCode === 414
      ? new AppError('uri_too_long')
      : new AppError('invalid_request', { message: 'The URL is not well-formed.' });
  const { status, body } = toEnvelope(fault);
  const text = `${JSON.stringify(body)}\n`;
  const headers = {
    'content-type': 'application/json; charset=utf-8',
    'content-length': Buffer.byteLength(text),
    'x-request-id': id,
  };
  (reply.raw as ServerResponse).writeHead(status, headers).end(text);
}
