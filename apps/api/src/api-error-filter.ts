import { Catch, NotFoundException } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { AppError } from '#runtime/app-error.js';
import { asAppError, ErrorFilter } from '#runtime/error-filter.js';
import type { Logger } from '#runtime/logger.js';
import { asDependencyError } from '#stores/postgres/database-error.js';
import type { RouteTable } from './route-table.js';

/** As ErrorFilter, and: 503 where PostgreSQL or the queue was away, 404 or 405 where no route took the request. */
@Catch()
export class ApiErrorFilter extends ErrorFilter {
  constructor(
    private readonly routes: RouteTable,
    logger: Logger,
  ) {
    super(logger);
  }

  protected override explain(thrown: unknown, request: FastifyRequest, reply: FastifyReply): AppError {
    // Nest throws it for exactly this; our own code throws AppError.
    if (thrown instanceof NotFoundException) return this.#unknownRoute(request, reply);
    return asAppError(asDependencyError(thrown));
  }

  #unknownRoute(request: FastifyRequest, reply: FastifyReply): AppError {
    const path = request.url.split('?', 1)[0] ?? '/';
    const allowed = this.routes.methodsOf(path);
    const what = `There is no ${request.method} ${path}`;
    if (allowed.length === 0) return new AppError('not_found', { message: `${what}.` });
    void reply.header('allow', allowed.join(', '));
    return new AppError('method_not_allowed', { message: `${what}; use ${allowed.join(', ')}.` });
  }
}
