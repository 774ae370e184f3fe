import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { OtlpCollector } from '../../../../test/support/otlp-collector.js';
import { parseSettings, SettingsError } from '../settings.js';
import { tracingSettings } from './settings.js';
import { startTracing } from './start-tracing.js';

const logger = pino({ level: 'silent' });
const PARENT = { traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01' };

let collector: OtlpCollector;
beforeEach(async () => {
  collector = await OtlpCollector.start();
});
afterEach(() => collector.close());

const started = (env: Record<string, string>) =>
  startTracing('api', parseSettings(tracingSettings, env), logger);
async function traced(env: Record<string, string> = {}) {
  const tracing = await started({
    OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
    OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json',
    ...env,
  });
  if (!tracing) throw new Error('nothing is traced');
  return tracing;
}

describe('tracing', () => {
  it('is off without a collector', async () => {
    expect(await started({})).toBeUndefined();
  });

  it.each([
    ['OTEL_EXPORTER_OTLP_ENDPOINT', 'collector:4318'],
    ['OTEL_EXPORTER_OTLP_ENDPOINT', 'grpc://collector:4317'],
    ['OTEL_EXPORTER_OTLP_PROTOCOL', 'grpc'],
    ['OTEL_EXPORTER_OTLP_HEADERS', 'authorization'],
    ['OTEL_TRACES_SAMPLER', 'jaeger_remote'],
    ['OTEL_TRACES_SAMPLER_ARG', '1.5'],
    ['OTEL_TRACES_SAMPLER_ARG', 'half'],
  ])('refuses %s=%s', (name, value) => {
    expect(() => parseSettings(tracingSettings, { [name]: value })).toThrow(SettingsError);
    expect(() => parseSettings(tracingSettings, { [name]: value })).toThrow(name);
  });

  it('sends spans with their times, attributes and faults', async () => {
    const tracing = await traced({ OTEL_SERVICE_NAME: 'mine' });
    const span = tracing.begin('outer', PARENT, { kind: 'server', attributes: { a: 1, b: undefined } });
    const at_ms = performance.now() - 50;
    span.begin('inner', { at_ms }).end(at_ms + 20);
    span.set({ list: ['x', 'y'] });
    span.fail('engine_unavailable');
    span.end();
    await tracing.close();
    const [inner, outer] = collector.spans;
    expect(outer).toMatchObject({
      service: 'mine',
      name: 'outer',
      kind: 2,
      traceId: '0af7651916cd43dd8448eb211c80319c',
      parent: 'b7ad6b7169203331',
      attributes: { a: 1, list: ['x', 'y'], 'error.type': 'engine_unavailable' },
      failed: true,
    });
    expect(Object.keys(outer?.attributes ?? {})).not.toContain('b');
    expect(inner).toMatchObject({ name: 'inner', parent: outer?.id, failed: false });
    const took_ms = Number((inner?.end_ns ?? 0n) - (inner?.begin_ns ?? 0n)) / 1e6;
    expect(took_ms).toBeCloseTo(20, 0);
    const now_ms = Date.now();
    expect(Math.abs(Number(inner?.end_ns) / 1e6 - now_ms)).toBeLessThan(60_000);
  });

  it('gives the trace on, with the state of other vendors', async () => {
    const tracing = await traced();
    const span = tracing.begin('outer', { ...PARENT, tracestate: 'vendor=1,other=2' });
    const [version, traceId, spanId, flags] = String(span.headers.traceparent).split('-');
    expect([version, traceId, flags]).toEqual(['00', span.traceId, '01']);
    expect(spanId).toMatch(/^(?!b7ad6b7169203331)[\da-f]{16}$/);
    expect(span.headers.tracestate).toBe('vendor=1,other=2');
    await tracing.close();
  });

  it.each([
    'garbage',
    '00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01',
    '00-00000000000000000000000000000000-b7ad6b7169203331-01',
    '00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01',
    'ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
  ])('begins a trace of its own for the header %s', async (traceparent) => {
    const tracing = await traced();
    const span = tracing.begin('outer', { traceparent });
    expect(span.traceId).toMatch(/^(?!0af7)[\da-f]{32}$/i);
    await tracing.close();
  });

  it('does as its sampler says, and as a caller says under a parent-based one', async () => {
    const unsampled = { traceparent: PARENT.traceparent.replace(/01$/, '00') };
    const taken = async (env: Record<string, string>) => {
      const tracing = await traced(env);
      tracing.begin('root', {}).end();
      tracing.begin('sampled', PARENT).end();
      tracing.begin('unsampled', unsampled).end();
      await tracing.close();
      return collector.spans.splice(0).map(({ name }) => name);
    };
    expect(await taken({})).toEqual(['root', 'sampled']);
    expect(await taken({ OTEL_TRACES_SAMPLER: 'parentbased_always_off' })).toEqual(['sampled']);
    expect(await taken({ OTEL_TRACES_SAMPLER: 'always_on' })).toEqual(['root', 'sampled', 'unsampled']);
    expect(
      await taken({ OTEL_TRACES_SAMPLER: 'parentbased_traceidratio', OTEL_TRACES_SAMPLER_ARG: '0' }),
    ).toEqual(['sampled']);
  });

  it('ends also where the collector is away', async () => {
    const tracing = await traced();
    collector.close();
    tracing.begin('outer', {}).end();
    await expect(tracing.close()).resolves.toBeUndefined();
  });
});
