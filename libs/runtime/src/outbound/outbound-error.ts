/** Why a request to an untrusted URL failed. */
export type OutboundFault =
  /** The URL itself is not one that we call: scheme, credentials, form. */
  | 'url_refused'
  /** It leads to an address that is not public. */
  | 'address_refused'
  /** Too many redirects, or one that leads where none may lead. */
  | 'redirect_refused'
  /** The answer has more bytes than allowed. */
  | 'too_large'
  /** The name has no address. */
  | 'not_resolved'
  | 'timeout'
  /** The connection could not be made or broke, or what came is not HTTP. */
  | 'connection';

const RETRYABLE: ReadonlySet<OutboundFault> = new Set<OutboundFault>([
  'not_resolved',
  'timeout',
  'connection',
]);

/** The message may be shown to the owner of the URL: it tells nothing of our own network. */
export class OutboundError extends Error {
  constructor(
    readonly fault: OutboundFault,
    message: string,
    cause?: unknown,
  ) {
    super(message, { cause });
    this.name = 'OutboundError';
  }

  /** Whether the same request may succeed later. */
  get retryable(): boolean {
    return RETRYABLE.has(this.fault);
  }
}

const TIMEOUT_CODES: ReadonlySet<unknown> = new Set([
  'UND_ERR_CONNECT_TIMEOUT',
  'UND_ERR_HEADERS_TIMEOUT',
  'UND_ERR_BODY_TIMEOUT',
  'ETIMEDOUT',
]);

/** What the HTTP client threw, as one of ours. An aborted `signal`'s reason passes through as it is. */
export function asOutboundError(error: unknown, signal: AbortSignal): unknown {
  if (signal.aborted) return signal.reason;
  for (let each = error; each instanceof Error; each = each.cause) {
    if (each instanceof OutboundError) return each;
  }
  const code = (error as { code?: unknown } | null)?.code;
  if (TIMEOUT_CODES.has(code))
    return new OutboundError('timeout', 'The server did not answer in time.', error);
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN')
    return new OutboundError('not_resolved', 'The name of the server could not be resolved.', error);
  const detail = typeof code === 'string' ? ` (${code})` : '';
  return new OutboundError('connection', `The connection to the server failed${detail}.`, error);
}
