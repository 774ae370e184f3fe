import type { FastifyReply, FastifyRequest } from 'fastify';
import { QUIET_ROUTES } from '../access-log.js';
import type { TraceSpan, Tracing } from './trace-span.js';

export interface HttpTracing {
  readonly tracing: Tracing;
  /** `continued`: only what another process traces already. */
  readonly requests: 'all' | 'continued';
}

/**
 * A span for each request to this server, named and described as OpenTelemetry's conventions for HTTP say. As in the
 * access log nothing of the caller's own words stands in it: the route is its pattern.
 */
export class RequestSpans {
  readonly #spans = new WeakMap<FastifyRequest, TraceSpan>();

  constructor(private readonly options: HttpTracing) {}

  /** Call once for each request, before anything else. */
  follow(request: FastifyRequest, reply: FastifyReply): void {
    const { tracing, requests } = this.options;
    const route = request.routeOptions.url;
    if (route === undefined || QUIET_ROUTES.has(route)) return;
    const { traceparent, tracestate } = request.headers;
    if (requests === 'continued' && traceparent === undefined) return;
    const span = tracing.begin(
      `${request.method} ${route}`,
      { traceparent, tracestate },
      {
        kind: 'server',
        attributes: {
          'http.request.method': request.method,
          'http.route': route,
          'lorikeet.request_id': request.id,
        },
      },
    );
    this.#spans.set(request, span);
    reply.raw.once('close', () => {
      const { statusCode, writableFinished, headersSent } = reply.raw;
      if (headersSent) span.set({ 'http.response.status_code': statusCode });
      if (statusCode >= 500) span.fail(String(statusCode));
      else if (!writableFinished) span.fail('client_closed_request');
      span.end();
    });
  }

  of(request: FastifyRequest): TraceSpan | undefined {
    return this.#spans.get(request);
  }
}
