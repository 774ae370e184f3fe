import { Catch } from '@nestjs/common';
import type { AppError } from '#runtime/app-error.js';
import { asAppError, ErrorFilter } from '#runtime/error-filter.js';
import { asDependencyError } from '#stores/postgres/database-error.js';

/** As ErrorFilter, and: 503 where PostgreSQL, the queue or room on the disk is away. */
@Catch()
export class ApiErrorFilter extends ErrorFilter {
  protected override explain(thrown: unknown): AppError {
    return asAppError(asDependencyError(thrown));
  }
}
