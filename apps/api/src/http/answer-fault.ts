import { ERROR_TABLE } from '#contracts/errors.js';
import { AppError } from '#runtime/app-error.js';
import type { Logger } from '#runtime/logger.js';

/** Waiting for a client to take more ends with an AbortError, whose cause is the reason. */
export function answerFault(error: unknown): AppError {
  if (error instanceof AppError) return error;
  const cause = error instanceof Error ? error.cause : undefined;
  return cause instanceof AppError ? cause : new AppError('internal_error', { cause: error });
}

/** Of an answer that has begun: nobody else tells. */
export function logAnswerFault(logger: Logger, requestId: string, fault: AppError): void {
  const { logLevel, status, text } = ERROR_TABLE[fault.code];
  const err = logLevel === 'error' ? (fault.details.cause ?? fault) : undefined;
  logger[logLevel]({ requestId, code: fault.code, status, err }, text);
}
