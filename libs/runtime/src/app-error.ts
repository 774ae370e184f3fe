import { ERROR_TABLE, type ErrorCode, type ErrorEnvelope } from '#contracts/errors.js';

export interface ErrorDetails {
  /** What the caller reads; the table's text when absent. Never holds internals. */
  readonly message?: string;
  /** The field at fault, as OpenAI's `error.param`. */
  readonly param?: string;
  /** For 429 and 503: when to try again. */
  readonly retryAfter_s?: number;
  /** Whether the same call may succeed later, where that differs from the code's own word. */
  readonly retryable?: boolean;
  /** Further headers of the answer. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Further members of the envelope's `error`, e.g. the report of a rejected version. */
  readonly extra?: Readonly<Record<string, unknown>>;
  readonly cause?: unknown;
}

/** The one error that services throw on purpose. */
export class AppError extends Error {
  constructor(
    readonly code: ErrorCode,
    readonly details: ErrorDetails = {},
  ) {
    super(details.message ?? ERROR_TABLE[code].text, { cause: details.cause });
    this.name = 'AppError';
  }

  get status(): number {
    return ERROR_TABLE[this.code].status;
  }

  get retryable(): boolean {
    return this.details.retryable ?? ERROR_TABLE[this.code].retryable;
  }
}

/** The answer's body for an error; what is no AppError says nothing of its inside. */
export function toEnvelope(error: unknown): { status: number; body: ErrorEnvelope } {
  const known = error instanceof AppError ? error : new AppError('internal_error', { cause: error });
  const { status, type } = ERROR_TABLE[known.code];
  return {
    status,
    body: {
      error: {
        ...known.details.extra,
        message: known.message,
        type,
        code: known.code,
        param: known.details.param ?? null,
      },
    },
  };
}
