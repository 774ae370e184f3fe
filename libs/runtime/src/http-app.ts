import { randomUUID } from 'node:crypto';
import type { DynamicModule, Type } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import type { FastifyRequest } from 'fastify';
import { AccessLog } from './access-log.js';
import { ErrorFilter } from './error-filter.js';
import { type Logger, nestLogger } from './logger.js';
import { OpenStreams } from './open-streams.js';
import { inRequest } from './request-context.js';
import { followUnusedConnections } from './unused-connections.js';

export interface HttpAppOptions {
  readonly module: Type | DynamicModule;
  readonly logger: Logger;
  /** Largest JSON body. Uploads are streamed and have limits of their own. */
  readonly jsonLimitBytes: number;
  /** Ended at shutdown, so that a long stream does not hold the process. */
  readonly streams: OpenStreams;
  /** At which level each answered request is logged; `debug` when absent. */
  readonly accessLevel?: 'info' | 'debug';
}

const REQUEST_ID = /^[\w.:-]{1,128}$/;

/** Takes the client's `x-request-id` when it is well-formed, else makes one. */
function requestIdOf(request: { headers: FastifyRequest['headers'] }): string {
  const given = request.headers['x-request-id'];
  return typeof given === 'string' && REQUEST_ID.test(given) ? given : randomUUID();
}

/** A Nest application on Fastify with what every one of our servers does: request ids, error envelope, stream tracking. */
export async function makeHttpApp(options: HttpAppOptions): Promise<NestFastifyApplication> {
  const adapter = new FastifyAdapter({
    bodyLimit: options.jsonLimitBytes,
    genReqId: requestIdOf,
    requestIdHeader: false,
    // A proxy in front may set it; we only trust the socket.
    trustProxy: false,
    forceCloseConnections: 'idle',
  });
  const fastify = adapter.getInstance();
  const access = new AccessLog(options.logger, options.accessLevel ?? 'debug');
  fastify.addHook('onRequest', async (request, reply) => {
    access.follow(request, reply);
    void reply.header('x-request-id', request.id);
  });
  // The first hook after the body was read: what the socket's events started would not know of the request.
  fastify.addHook('preValidation', (request, _reply, done) => {
    inRequest({ requestId: request.id, address: request.ip }, () => {
      access.remember(request);
      done();
    });
  });
  const closeUnused = followUnusedConnections(fastify.server);
  fastify.addHook('preClose', async () => closeUnused());
  const app = await NestFactory.create<NestFastifyApplication>(options.module, adapter, {
    logger: nestLogger(options.logger),
    abortOnError: false,
  });
  app.useGlobalFilters(new ErrorFilter(options.logger));
  return app;
}
