import { setting, type SettingsOf, text } from '../settings.js';
import { z } from 'zod';

/** Samplers by their names in OpenTelemetry's specification. */
const SAMPLERS = [
  'parentbased_always_on',
  'parentbased_always_off',
  'parentbased_traceidratio',
  'always_on',
  'always_off',
  'traceidratio',
] as const;

/** The names and meanings are OpenTelemetry's own. */
export const tracingSettings = {
  otlpEndpoint: setting(
    {
      name: 'OTEL_EXPORTER_OTLP_ENDPOINT',
      summary:
        'URL of a collector of OpenTelemetry (OTLP over HTTP): traces of requests go to `/v1/traces` below it; without one nothing is traced',
    },
    text.optional().transform(endpointOf),
  ),
  otlpHeaders: setting(
    {
      name: 'OTEL_EXPORTER_OTLP_HEADERS',
      summary: 'What is sent with each export, e.g. `authorization=Bearer%20...`, separated by commas',
      secret: true,
    },
    text.optional().transform(headersOf),
  ),
  otlpProtocol: setting(
    {
      name: 'OTEL_EXPORTER_OTLP_PROTOCOL',
      summary: '`http/protobuf` or `http/json`',
      defaultText: 'http/protobuf',
    },
    text.oneOf(['http/protobuf', 'http/json'], 'http/protobuf'),
  ),
  tracesSampler: setting(
    {
      name: 'OTEL_TRACES_SAMPLER',
      summary: `Which requests are traced: ${SAMPLERS.map((name) => `\`${name}\``).join(', ')}; \`parentbased_\`: those of a caller that says, as it says`,
      defaultText: 'parentbased_always_on',
    },
    text.oneOf(SAMPLERS, 'parentbased_always_on'),
  ),
  tracesShare: setting(
    {
      name: 'OTEL_TRACES_SAMPLER_ARG',
      summary: 'Share of the requests that a `traceidratio` sampler takes, 0 to 1',
      defaultText: '1',
    },
    text.string('1').transform(shareOf),
  ),
  serviceName: setting(
    {
      name: 'OTEL_SERVICE_NAME',
      summary: 'Name of this process among the services of a trace',
      defaultText: '`lorikeet-api`, `lorikeet-worker` or `lorikeet-engine`',
    },
    text.optional(),
  ),
};
export type TracingSettings = SettingsOf<typeof tracingSettings>;

function endpointOf(url: string | undefined, context: z.RefinementCtx): string | undefined {
  if (url === undefined) return undefined;
  const protocol = URL.canParse(url) ? new URL(url).protocol : '';
  if (protocol === 'http:' || protocol === 'https:') return url.replace(/\/+$/, '');
  context.addIssue(`expected a URL that starts with http: or https:, got "${url}"`);
  return z.NEVER;
}

function shareOf(value: string, context: z.RefinementCtx): number {
  const share = Number(value);
  if (share >= 0 && share <= 1) return share;
  context.addIssue(`expected a number from 0 to 1, got "${value}"`);
  return z.NEVER;
}

function headersOf(list: string | undefined, context: z.RefinementCtx): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const entry of list?.split(',') ?? []) {
    const at = entry.indexOf('=');
    const name = entry.slice(0, at).trim();
    if (at < 1 || !/^[\w-]+$/.test(name)) {
      context.addIssue('expected name=value pairs, separated by commas');
      return z.NEVER;
    }
    headers[name] = decoded(entry.slice(at + 1).trim());
  }
  return headers;
}

function decoded(value: string): string {
  try {
    return decodeURIComponent(value);
  } catch {
    return value;
  }
}
