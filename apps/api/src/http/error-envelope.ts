import type { ErrorEnvelope } from '#contracts/errors.js';
import type { StreamStyle } from './sse-stream.js';

const ANTHROPIC_TYPES: Readonly<Record<number, string>> = {
  400: 'invalid_request_error',
  401: 'authentication_error',
  403: 'permission_error',
  404: 'not_found_error',
  413: 'request_too_large',
  429: 'rate_limit_error',
  500: 'api_error',
  503: 'overloaded_error',
};

/** The paths whose errors are in Anthropic's form. */
export function styleOf(url: string): StreamStyle {
  return /^\/v1\/messages(?:[/?]|$)/.test(url) ? 'anthropic' : 'openai';
}

/** An error as clients of the one or the other API read it; Anthropic's has our code and field besides. */
export function envelopeIn(
  style: StreamStyle,
  { status, body }: { readonly status: number; readonly body: ErrorEnvelope },
  requestId: string,
): object {
  if (style !== 'anthropic') return body;
  const type = ANTHROPIC_TYPES[status] ?? (status < 500 ? 'invalid_request_error' : 'api_error');
  return { type: 'error', error: { ...body.error, type }, request_id: requestId };
}
