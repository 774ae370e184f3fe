import { type ArgumentsHost, Catch, type ExceptionFilter, HttpException } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { ERROR_TABLE, type ErrorCode } from '#contracts/errors.js';
import { AppError, toEnvelope } from './app-error.js';
import type { Logger } from './logger.js';

const CODE_OF_STATUS: Readonly<Record<number, ErrorCode>> = {
  400: 'invalid_request',
  401: 'invalid_api_key',
  403: 'insufficient_scope',
  404: 'not_found',
  405: 'method_not_allowed',
  408: 'request_timeout',
  409: 'conflict',
  413: 'payload_too_large',
  414: 'uri_too_long',
  415: 'unsupported_media_type',
  417: 'expectation_failed',
  431: 'headers_too_large',
  429: 'rate_limit_exceeded',
  503: 'dependency_unavailable',
};

/** Frameworks throw their own errors (Nest's, Fastify's); each becomes one of our codes. */
export function asAppError(error: unknown): AppError {
  if (error instanceof AppError) return error;
  if (error instanceof HttpException) {
    const code = CODE_OF_STATUS[error.getStatus()];
    if (code) return new AppError(code, { message: error.message, cause: error });
  }
  const status = (error as { statusCode?: unknown } | null)?.statusCode;
  if (typeof status === 'number' && status < 500) {
    return new AppError(CODE_OF_STATUS[status] ?? 'invalid_request', {
      message: String((error as Error).message),
      cause: error,
    });
  }
  return new AppError('internal_error', { cause: error });
}

/** Turns whatever a handler threw into the envelope, logs it at its level, and never shows a stack trace. */
@Catch()
export class ErrorFilter implements ExceptionFilter {
  constructor(private readonly logger: Logger) {}

  /** What the caller is told; an app that knows more about what was thrown overrides it. */
  protected explain(thrown: unknown): AppError {
    return asAppError(thrown);
  }

  /** The body of the answer; an app whose routes have forms of their own overrides it. */
  protected answer(error: AppError, _request: Pick<FastifyRequest, 'id' | 'url'>): object {
    return toEnvelope(error).body;
  }

  catch(thrown: unknown, host: ArgumentsHost): void {
    const request = host.switchToHttp().getRequest<FastifyRequest>();
    const reply = host.switchToHttp().getResponse<FastifyReply>();
    const error = this.explain(thrown);
    const { status } = error;
    const level = ERROR_TABLE[error.code].logLevel;
    this.logger[level](
      {
        requestId: request.id,
        code: error.code,
        err: level === 'error' ? (error.cause ?? error) : undefined,
      },
      ERROR_TABLE[error.code].text, // the error's own message may repeat what the caller sent
    );
    if (reply.sent || reply.raw.headersSent) return; // a stream tells its own errors
    void reply.headers(headersOf(error)).status(status).send(this.answer(error, request));
  }
}

/** Clients try 429 and 503 again by themselves: told when, or that it is of no use. */
function headersOf(error: AppError): Record<string, string> {
  const { headers, retryAfter_s } = error.details;
  const { status } = error;
  if (status !== 429 && status !== 503) return { ...headers };
  if (!error.retryable) return { ...headers, 'x-should-retry': 'false' };
  return { ...headers, 'retry-after': String(Math.max(1, Math.ceil(retryAfter_s ?? 1))) };
}
