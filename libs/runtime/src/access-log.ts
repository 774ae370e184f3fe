import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Logger } from './logger.js';
import { currentRequest, type RequestContext } from './request-context.js';

/** Asked all the time by machines; of interest only when they fail. */
export const QUIET_ROUTES: ReadonlySet<string> = new Set([
  '/metrics',
  '/health',
  '/health/live',
  '/health/ready',
]);

/**
 * One line per request when its connection is done with it: who called which route, what came of it, and what it took.
 * The route is its pattern, so that no path, query, header or text of the caller is written.
 */
export class AccessLog {
  readonly #contexts = new WeakMap<FastifyRequest, RequestContext>();

  constructor(
    private readonly logger: Logger,
    private readonly level: 'info' | 'debug',
  ) {}

  /** Call once for each request, before anything else. */
  follow(request: FastifyRequest, reply: FastifyReply): void {
    const began_ms = performance.now();
    // Also after an abort, and for answers that bypass Fastify.
    reply.raw.once('close', () => this.#write(request, reply, performance.now() - began_ms));
  }

  /** Call inside the request's context; what is noted there later stands in its line. */
  remember(request: FastifyRequest): void {
    const context = currentRequest();
    if (context) this.#contexts.set(request, context);
  }

  #write(request: FastifyRequest, reply: FastifyReply, took_ms: number): void {
    const { statusCode: status, writableFinished } = reply.raw;
    // Undefined: no route took it.
    const route = request.routeOptions.url;
    const quiet = route !== undefined && QUIET_ROUTES.has(route) && status < 400;
    const { actor, tenantId, spent, span } = this.#contexts.get(request) ?? {};
    this.logger[quiet ? 'debug' : this.level](
      {
        requestId: request.id,
        method: request.method,
        route,
        status,
        ...(writableFinished ? {} : { aborted: true }),
        address: request.ip,
        tenant: tenantId,
        actor: actor?.type,
        keyId: actor?.id,
        took_ms: Math.round(took_ms),
        traceId: span?.traceId,
        ...spent,
        ...(spent?.ttft_ms === undefined ? {} : { ttft_ms: Math.round(spent.ttft_ms) }),
      },
      'request',
    );
  }
}
