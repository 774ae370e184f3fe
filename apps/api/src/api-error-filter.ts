import { type ArgumentsHost, Catch } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { type AppError, toEnvelope } from '#runtime/app-error.js';
import { asAppError, ErrorFilter } from '#runtime/error-filter.js';
import { asDependencyError } from '#stores/postgres/database-error.js';
import { ReplayedAnswer } from './idempotency/replayed-answer.js';
import { envelopeIn, styleOf } from './http/error-envelope.js';

/** As ErrorFilter, and: 503 where PostgreSQL, the queue or room on the disk is away; Anthropic's form on its paths. */
@Catch()
export class ApiErrorFilter extends ErrorFilter {
  override catch(thrown: unknown, host: ArgumentsHost): void {
    if (thrown instanceof ReplayedAnswer) thrown.send(host.switchToHttp().getResponse<FastifyReply>());
    else super.catch(thrown, host); // oxlint-disable-line promise/valid-params -- no promise's
  }

  protected override explain(thrown: unknown): AppError {
    return asAppError(asDependencyError(thrown));
  }

  protected override answer(error: AppError, { id, url }: Pick<FastifyRequest, 'id' | 'url'>): object {
    return envelopeIn(styleOf(url), toEnvelope(error), id);
  }
}
