/** Why something could not be had from the Hub, in words for whoever asked. */
export class HubError extends Error {
  readonly retryable: boolean;
  /** What the Hub asked for. */
  readonly retryAfter_ms: number | undefined;

  constructor(
    message: string,
    {
      retryable = false,
      retryAfter_ms,
      cause,
    }: { retryable?: boolean; retryAfter_ms?: number | undefined; cause?: unknown } = {},
  ) {
    super(message, { cause });
    this.name = 'HubError';
    this.retryable = retryable;
    this.retryAfter_ms = retryAfter_ms;
  }
}
