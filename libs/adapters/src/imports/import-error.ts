import { ERROR_TABLE } from '#contracts/errors.js';
import { AppError } from '#runtime/app-error.js';
import { OutboundError } from '#runtime/outbound/outbound-error.js';

/** Why files could not be fetched, in words for the version's owner. */
export class ImportError extends Error {
  readonly retryable: boolean;
  /** What the source asked for. */
  readonly retryAfter_ms: number | undefined;

  constructor(
    message: string,
    details: { retryable: boolean; retryAfter_ms?: number | undefined; cause?: unknown },
  ) {
    super(message, { cause: details.cause });
    this.name = 'ImportError';
    this.retryable = details.retryable;
    this.retryAfter_ms = details.retryAfter_ms;
  }
}

/** What will fail again however often it is tried. */
export function final(message: string): ImportError {
  return new ImportError(message, { retryable: false });
}

/** Any failure as one of ours; what nobody foresaw is tried again and tells nothing of its inside. */
export function asImportError(error: unknown): ImportError {
  if (error instanceof ImportError) return error;
  if (error instanceof OutboundError) {
    return new ImportError(error.message, { retryable: error.retryable, cause: error });
  }
  if (error instanceof AppError) {
    const retryAfter_ms =
      error.details.retryAfter_s === undefined ? undefined : error.details.retryAfter_s * 1000;
    return new ImportError(error.message, {
      retryable: ERROR_TABLE[error.code].retryable,
      retryAfter_ms,
      cause: error,
    });
  }
  return new ImportError('Something failed on our side.', { retryable: true, cause: error });
}
