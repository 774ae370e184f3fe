export type AttributeValue = string | number | boolean | readonly string[];
export type Attributes = Readonly<Record<string, AttributeValue | undefined>>;

/** `server`: somebody asked for it; `client`: it waits for another process; `internal`: neither. */
export type SpanKind = 'server' | 'client' | 'internal';

export interface SpanStart {
  readonly kind?: SpanKind;
  readonly attributes?: Attributes;
  /** As performance.now() tells it; absent: now. */
  readonly at_ms?: number;
}

/**
 * Something that takes time, as a span of OpenTelemetry. Whoever begins one ends it. Where nothing is traced there is
 * none, and code asks with `?.`.
 */
export interface TraceSpan {
  /** 32 hexadecimal digits. */
  readonly traceId: string;
  /** The headers with which another process goes on with the trace (W3C Trace Context). */
  readonly headers: Readonly<Record<string, string>>;
  /** A part of it. */
  begin(name: string, start?: SpanStart): TraceSpan;
  /** What is undefined is left out. */
  set(attributes: Attributes): void;
  /** It came to nothing; `type` is an error code. */
  fail(type: string): void;
  end(at_ms?: number): void;
}

/** Where the spans of this process go. */
export interface Tracing {
  /** The first span here of a request, which goes on with the caller's trace if its headers name one. */
  begin(name: string, headers: IncomingTrace, start?: SpanStart): TraceSpan;
  /** Sends what has ended. */
  close(): Promise<void>;
}

export interface IncomingTrace {
  readonly traceparent?: string | string[] | undefined;
  readonly tracestate?: string | string[] | undefined;
}
