import type { Logger } from '../logger.js';
import type { TracingSettings } from './settings.js';
import type { Tracing } from './trace-span.js';

/** Undefined where no collector is set: then nothing of OpenTelemetry is loaded either. */
export async function startTracing(
  app: 'api' | 'worker' | 'engine',
  settings: TracingSettings,
  logger: Logger,
): Promise<Tracing | undefined> {
  if (settings.otlpEndpoint === undefined) return undefined;
  const { OtelTracing } = await import('./otel-tracing.js');
  const tracing = await OtelTracing.start({ ...settings, otlpEndpoint: settings.otlpEndpoint }, app, logger);
  logger.info({ endpoint: new URL(settings.otlpEndpoint).origin }, 'requests are traced');
  return tracing;
}
