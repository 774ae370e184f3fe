import { ERROR_TABLE } from '#contracts/errors.js';
import { AppError } from '#runtime/app-error.js';
import { isAway } from '#stores/postgres/database-error.js';

/** Whether the same step may succeed a moment later: the database or the engines are away, or busy. */
export function mayPass(error: unknown): boolean {
  if (isAway(error)) return true;
  return error instanceof AppError && error.code !== 'internal_error' && ERROR_TABLE[error.code].retryable;
}
