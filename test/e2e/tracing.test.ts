import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { chatLine, ended, startBatch } from '../support/batches.js';
import { Client, makeTenant } from '../support/client.js';
import { DEMO_FOLDER, demoIndex } from '../support/demo.js';
import { type CollectedSpan, OtlpCollector } from '../support/otlp-collector.js';
import { type Stack, startStack } from '../support/stack.js';

interface Completion {
  readonly id: string;
  readonly usage: { readonly prompt_tokens: number; readonly completion_tokens: number };
}

const PARENT = 'b7ad6b7169203331';
const SPANS_OF_AN_ADAPTERS_ANSWER = 8;

describe('a trace', () => {
  let collector: OtlpCollector;
  let stack: Stack;
  let tenant: Client;
  const [adapter] = demoIndex().adapters;

  beforeAll(async () => {
    collector = await OtlpCollector.start();
    stack = await startStack({
      env: {
        OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
        OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json',
      },
    });
    tenant = await makeTenant(stack.url, stack.adminKey, 'traced');
    await tenant.uploadFolder('bot', join(DEMO_FOLDER, adapter?.path ?? ''));
  });
  afterAll(async () => {
    await stack?.stop();
    collector?.close();
  });

  /** Asks as a part of a trace of the caller's. */
  function ask(traceId: string, more: object = {}, flags = '01') {
    const traceparent = `00-${traceId}-${PARENT}-${flags}`;
    const caller = new Client(tenant.url, tenant.key, { traceparent, tracestate: 'vendor=1' });
    const body = { model: 'bot', messages: [{ role: 'user', content: 'Hi' }], max_tokens: 4, ...more };
    return caller.call<Completion>('POST', '/v1/chat/completions', body);
  }
  const traceIdOf = (digit: string) => digit.repeat(32);
  /** Spans are sent some seconds after they end. */
  async function spansOf(traceId: string, count: number): Promise<CollectedSpan[]> {
    await expect.poll(() => collector.of(traceId).length, { timeout: 60_000 }).toBe(count);
    return collector.of(traceId);
  }
  const named = (spans: readonly CollectedSpan[], name: string): CollectedSpan => {
    const found = spans.find((span) => span.name === name);
    expect(found, name).toBeDefined();
    return found as CollectedSpan;
  };

  it("goes on with the caller's, from HTTP to the phases in the engine", async () => {
    const { body } = await ask(traceIdOf('1'), { ignore_eos: true });
    const spans = await spansOf(traceIdOf('1'), SPANS_OF_AN_ADAPTERS_ANSWER);
    const path = [
      ['lorikeet-api', 'POST /v1/chat/completions', 2],
      ['lorikeet-api', 'chat bot', 1],
      ['lorikeet-api', 'generate', 3],
      ['lorikeet-engine', 'POST /generate', 2],
      ['lorikeet-engine', 'queue', 1],
      ['lorikeet-engine', 'adapter load', 1],
    ] as const;
    let parent: string = PARENT;
    for (const [service, name, kind] of path) {
      const span = named(spans, name);
      expect(span).toMatchObject({ service, kind, parent, failed: false });
      parent = span.id;
    }
    const engine = named(spans, 'POST /generate');
    const [queue, prefill, decode] = ['queue', 'prefill', 'decode'].map((name) => named(spans, name));
    expect([prefill?.parent, decode?.parent]).toEqual([engine.id, engine.id]);
    expect([prefill?.begin_ns, decode?.begin_ns]).toEqual([queue?.end_ns, prefill?.end_ns]);
    for (const span of spans) expect(span.end_ns >= span.begin_ns, span.name).toBe(true);
    expect(named(spans, 'chat bot').attributes).toMatchObject({
      'gen_ai.operation.name': 'chat',
      'gen_ai.provider.name': 'lorikeet',
      'gen_ai.request.model': 'bot',
      'gen_ai.request.max_tokens': 4,
      'gen_ai.response.model': 'bot@1',
      'gen_ai.response.id': body.id.replace('chatcmpl-', ''),
      'gen_ai.response.finish_reasons': ['length'],
      'gen_ai.usage.input_tokens': body.usage.prompt_tokens,
      'gen_ai.usage.output_tokens': 4,
    });
    expect(named(spans, 'POST /v1/chat/completions').attributes).toMatchObject({
      'http.request.method': 'POST',
      'http.route': '/v1/chat/completions',
      'http.response.status_code': 200,
    });
    expect(JSON.stringify(spans.map(({ attributes }) => attributes))).not.toContain('Hi');
    const log = readFileSync(join(stack.dataDir, 'logs/api.log'), 'utf8');
    expect(log).toContain(`"traceId":"${traceIdOf('1')}"`);
  });

  it('names what failed, and leaves out what its caller does not trace', async () => {
    expect((await ask(traceIdOf('2'), {}, '00')).status).toBe(200);
    expect((await ask(traceIdOf('3'), { model: 'nobody' })).status).toBe(404);
    const spans = await spansOf(traceIdOf('3'), 2);
    expect(named(spans, 'chat nobody')).toMatchObject({
      failed: true,
      attributes: { 'error.type': 'model_not_found' },
    });
    expect(named(spans, 'POST /v1/chat/completions')).toMatchObject({
      failed: false,
      attributes: { 'http.response.status_code': 404 },
    });
    expect(collector.of(traceIdOf('2'))).toEqual([]);
  });

  it('begins here where the caller has none, or none that is well-formed', async () => {
    const before = new Set(collector.spans.map(({ traceId }) => traceId));
    const odd = new Client(tenant.url, tenant.key, { traceparent: '00-zz-1-01' });
    expect((await odd.call('GET', '/v1/models')).status).toBe(200);
    const found = () =>
      collector.spans.find((span) => span.name === 'GET /v1/models' && !before.has(span.traceId));
    await expect.poll(found, { timeout: 60_000 }).toBeDefined();
    expect(found()?.parent ?? '').toBe('');
    expect(found()?.traceId).toMatch(/^[\da-f]{32}$/);
    expect(collector.spans.some(({ name }) => name.includes('/health'))).toBe(false);
  });

  it('has the jobs of the worker', async () => {
    const jobs = () => collector.spans.filter(({ service }) => service === 'lorikeet-worker');
    await expect.poll(() => jobs().map(({ name }) => name), { timeout: 60_000 }).toContain('ingest-adapter');
  });

  it('has the lines of a batch under it, and what each asked under the line', async () => {
    const body = { model: 'bot', max_tokens: 2 };
    const { id } = await startBatch(tenant, [
      chatLine('one', body),
      chatLine('two', body),
      chatLine('wrong', { model: 'nobody' }),
    ]);
    await ended(tenant, id);
    const lines = () => collector.spans.filter(({ name }) => name === 'batch line');
    await expect.poll(() => lines().length, { timeout: 60_000 }).toBe(3);
    const [{ traceId }] = lines() as [CollectedSpan];
    const batch = () => collector.of(traceId).find(({ name }) => name === 'run-batch');
    await expect.poll(batch, { timeout: 60_000 }).toBeDefined();
    const places = lines().map((line) => `${line.traceId} ${line.parent}`);
    expect(places).toEqual(Array(3).fill(`${traceId} ${batch()?.id}`));
    const failed = lines().filter((line) => line.failed);
    expect(failed.map(({ attributes }) => attributes['lorikeet.batch.line'])).toEqual([3]);
    const asked = () => collector.of(traceId).filter(({ name }) => name === 'chat bot');
    await expect.poll(() => asked().length, { timeout: 60_000 }).toBe(2);
    const answered = lines().filter((line) => !line.failed);
    expect(new Set(asked().map(({ parent }) => parent))).toEqual(new Set(answered.map((line) => line.id)));
  });
});
