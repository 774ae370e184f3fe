import { hostname } from 'node:os';
import {
  type Context,
  createTraceState,
  diag,
  DiagLogLevel,
  ROOT_CONTEXT,
  type Span,
  SpanKind as OtelKind,
  SpanStatusCode,
  trace,
  TraceFlags,
  type Tracer,
} from '@opentelemetry/api';
import {
  defaultResource,
  detectResources,
  envDetector,
  resourceFromAttributes,
} from '@opentelemetry/resources';
import {
  AlwaysOffSampler,
  AlwaysOnSampler,
  BatchSpanProcessor,
  ParentBasedSampler,
  type Sampler,
  type SpanExporter,
  TraceIdRatioBasedSampler,
  TracerProvider,
} from '@opentelemetry/sdk-trace';
import type { Logger } from '../logger.js';
import type { TracingSettings } from './settings.js';
import type { Attributes, IncomingTrace, SpanKind, SpanStart, TraceSpan, Tracing } from './trace-span.js';

export type OtelSettings = TracingSettings & { readonly otlpEndpoint: string };

const KINDS: Readonly<Record<SpanKind, OtelKind>> = {
  server: OtelKind.SERVER,
  client: OtelKind.CLIENT,
  internal: OtelKind.INTERNAL,
};
const CLOSE_MS = 3_000;
/** W3C Trace Context, version 00; a later version begins alike. */
const TRACEPARENT = /^(?!ff)[\da-f]{2}-(?!0{32})([\da-f]{32})-(?!0{16})([\da-f]{16})-([\da-f]{2})(?:-.*)?$/;

/** Traces by OpenTelemetry's SDK, exported in batches; a collector that is away costs no request anything. */
export class OtelTracing implements Tracing {
  private constructor(
    private readonly provider: TracerProvider,
    private readonly tracer: Tracer,
  ) {}

  static async start(settings: OtelSettings, app: string, logger: Logger): Promise<OtelTracing> {
    const warn = (message: string): void => logger.warn({ said: message }, 'OpenTelemetry reports a fault');
    const quiet = (): void => undefined;
    diag.setLogger(
      { error: warn, warn, info: quiet, debug: quiet, verbose: quiet },
      { logLevel: DiagLogLevel.WARN, suppressOverrideMessage: true },
    );
    const provider = new TracerProvider({
      resource: resourceOf(settings.serviceName ?? `lorikeet-${app}`),
      sampler: samplerOf(settings),
      spanProcessors: [new BatchSpanProcessor({ exporter: await exporterOf(settings) })],
    });
    return new OtelTracing(provider, provider.getTracer('lorikeet'));
  }

  begin(name: string, headers: IncomingTrace, start: SpanStart = {}): TraceSpan {
    return beginIn(this.tracer, contextOf(headers), name, start);
  }

  async close(): Promise<void> {
    // What cannot be sent by then is lost: the collector is away.
    await Promise.race([
      this.provider.shutdown().catch(() => undefined),
      new Promise<void>((resolve) => setTimeout(resolve, CLOSE_MS).unref()),
    ]);
  }
}

class OtelSpan implements TraceSpan {
  constructor(
    private readonly tracer: Tracer,
    private readonly context: Context,
    private readonly span: Span,
  ) {}

  get traceId(): string {
    return this.span.spanContext().traceId;
  }

  get headers(): Readonly<Record<string, string>> {
    const { traceId, spanId, traceFlags, traceState } = this.span.spanContext();
    const traceparent = `00-${traceId}-${spanId}-${traceFlags.toString(16).padStart(2, '0')}`;
    const tracestate = traceState?.serialize();
    return tracestate ? { traceparent, tracestate } : { traceparent };
  }

  begin(name: string, start: SpanStart = {}): TraceSpan {
    return beginIn(this.tracer, this.context, name, start);
  }

  set(attributes: Attributes): void {
    this.span.setAttributes(given(attributes));
  }

  fail(type: string): void {
    this.span.setAttribute('error.type', type);
    this.span.setStatus({ code: SpanStatusCode.ERROR });
  }

  end(at_ms?: number): void {
    this.span.end(at_ms === undefined ? undefined : epoch(at_ms));
  }
}

function beginIn(tracer: Tracer, parent: Context, name: string, start: SpanStart): TraceSpan {
  const { kind = 'internal', attributes = {}, at_ms } = start;
  const span = tracer.startSpan(
    name,
    {
      kind: KINDS[kind],
      attributes: given(attributes),
      ...(at_ms === undefined ? {} : { startTime: epoch(at_ms) }),
    },
    parent,
  );
  return new OtelSpan(tracer, trace.setSpan(parent, span), span);
}

/** Of a caller that says nothing well-formed, a trace begins anew. */
function contextOf({ traceparent, tracestate }: IncomingTrace): Context {
  const [, traceId, spanId, flags] = TRACEPARENT.exec(String(traceparent ?? '')) ?? [];
  if (traceId === undefined || spanId === undefined || flags === undefined) return ROOT_CONTEXT;
  const state = [tracestate ?? []].flat().join(',');
  return trace.setSpanContext(ROOT_CONTEXT, {
    traceId,
    spanId,
    traceFlags: Number.parseInt(flags, 16) & TraceFlags.SAMPLED,
    isRemote: true,
    ...(state === '' ? {} : { traceState: createTraceState(state) }),
  });
}

function samplerOf({ tracesSampler, tracesShare }: TracingSettings): Sampler {
  const name = tracesSampler.replace(/^parentbased_/, '');
  const own =
    name === 'always_on'
      ? new AlwaysOnSampler()
      : name === 'always_off'
        ? new AlwaysOffSampler()
        : new TraceIdRatioBasedSampler(tracesShare);
  return name === tracesSampler ? own : new ParentBasedSampler({ root: own });
}

async function exporterOf(settings: OtelSettings): Promise<SpanExporter> {
  const { otlpEndpoint, otlpHeaders: headers, otlpProtocol } = settings;
  const options = { url: `${otlpEndpoint}/v1/traces`, headers };
  if (otlpProtocol === 'http/json') {
    const { OTLPTraceExporter } = await import('@opentelemetry/exporter-trace-otlp-http');
    return new OTLPTraceExporter(options);
  }
  const { OTLPTraceExporter } = await import('@opentelemetry/exporter-trace-otlp-proto');
  return new OTLPTraceExporter(options);
}

/** OTEL_RESOURCE_ATTRIBUTES adds to it. */
function resourceOf(service: string) {
  return defaultResource()
    .merge(detectResources({ detectors: [envDetector] }))
    .merge(
      resourceFromAttributes({
        'service.name': service,
        'service.instance.id': `${hostname()}:${process.pid}`,
      }),
    );
}

function given(attributes: Attributes) {
  return Object.fromEntries(
    Object.entries(attributes).flatMap(([name, value]) =>
      value === undefined ? [] : [[name, typeof value === 'object' ? [...value] : value]],
    ),
  );
}

/** Milliseconds since 1970 of a time of performance.now(). */
function epoch(at_ms: number): number {
  return performance.timeOrigin + at_ms;
}
