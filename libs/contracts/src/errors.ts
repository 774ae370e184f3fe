import { z } from 'zod';

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

export interface ErrorRow {
  /** HTTP status of the answer. */
  readonly status: number;
  /** OpenAI's `error.type`. */
  readonly type: string;
  readonly logLevel: LogLevel;
  /** Whether the same call may succeed later without a change. */
  readonly retryable: boolean;
  /** What the caller reads when the place that failed gives no text of its own. */
  readonly text: string;
}

const row = (
  status: number,
  type: string,
  logLevel: LogLevel,
  retryable: boolean,
  text: string,
): ErrorRow => ({
  status,
  type,
  logLevel,
  retryable,
  text,
});

const BAD = 'invalid_request_error';

/** The closed list of error codes. docs/errors.md is generated from it and tested to be equal. */
export const ERROR_TABLE = {
  invalid_request: row(400, BAD, 'info', false, 'The request is malformed.'),
  context_length_exceeded: row(400, BAD, 'info', false, "The prompt does not fit the model's context."),
  invalid_api_key: row(401, 'authentication_error', 'info', false, 'The API key is missing or not valid.'),
  invalid_signature: row(
    401,
    'authentication_error',
    'info',
    false,
    "The webhook's signature is missing, wrong or too old.",
  ),
  insufficient_scope: row(
    403,
    'permission_error',
    'info',
    false,
    'The API key lacks the scope for this call.',
  ),
  tenant_suspended: row(403, 'permission_error', 'info', false, 'The tenant is suspended.'),
  not_found: row(404, BAD, 'info', false, 'There is no such resource.'),
  model_not_found: row(404, BAD, 'info', false, 'There is no such model.'),
  method_not_allowed: row(405, BAD, 'info', false, 'The resource does not take this method.'),
  request_timeout: row(408, BAD, 'info', true, 'The request did not come in time.'),
  already_exists: row(409, BAD, 'info', false, 'The resource exists already.'),
  conflict: row(409, BAD, 'info', false, "The resource's state does not allow this."),
  version_not_ready: row(409, BAD, 'info', true, 'The version is not ready to serve.'),
  idempotency_conflict: row(409, BAD, 'info', false, 'The Idempotency-Key belongs to another request.'),
  idempotency_in_flight: row(
    409,
    BAD,
    'info',
    true,
    'The first request with this Idempotency-Key is not answered yet.',
  ),
  precondition_failed: row(412, BAD, 'info', false, 'The resource is not as the request expects it.'),
  payload_too_large: row(413, BAD, 'info', false, 'The request is larger than allowed.'),
  uri_too_long: row(414, BAD, 'info', false, 'A part of the URL is longer than allowed.'),
  unsupported_media_type: row(415, BAD, 'info', false, 'The content type is not supported here.'),
  range_not_satisfiable: row(416, BAD, 'info', false, 'The file does not reach as far as the range.'),
  expectation_failed: row(417, BAD, 'info', false, 'The header expect asks for what is not done here.'),
  adapter_rejected: row(422, BAD, 'info', false, 'The adapter cannot be served correctly; see its report.'),
  headers_too_large: row(431, BAD, 'info', false, 'The request line and headers are longer than allowed.'),
  rate_limit_exceeded: row(429, 'rate_limit_error', 'info', true, 'Too many requests; slow down.'),
  insufficient_quota: row(429, 'insufficient_quota', 'info', false, 'The budget is spent.'),
  quota_exceeded: row(429, 'rate_limit_error', 'info', false, 'A quota of the tenant is used up.'),
  client_closed_request: row(499, 'client_error', 'info', false, 'The client went away.'),
  internal_error: row(500, 'server_error', 'error', true, 'Something failed on our side.'),
  engine_unavailable: row(503, 'server_error', 'warn', true, 'No engine can serve this now.'),
  overloaded: row(503, 'server_error', 'warn', true, 'Too many requests wait already.'),
  maintenance: row(503, 'server_error', 'info', true, 'The service is under maintenance.'),
  dependency_unavailable: row(503, 'server_error', 'error', true, 'A service that this call needs is away.'),
} as const satisfies Record<string, ErrorRow>;

export type ErrorCode = keyof typeof ERROR_TABLE;
export const ERROR_CODES = Object.keys(ERROR_TABLE) as [ErrorCode, ...ErrorCode[]];

/** OpenAI's error envelope, used by every one of our HTTP servers. */
export const ErrorEnvelopeSchema = z.object({
  error: z.object({
    message: z.string(),
    type: z.string(),
    code: z.enum(ERROR_CODES),
    param: z.string().nullable(),
  }),
});
export type ErrorEnvelope = z.infer<typeof ErrorEnvelopeSchema>;
