import { pino } from 'pino';
import { Registry } from 'prom-client';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { GenerateEvent, GenerateRequest } from '#contracts/engine-protocol.js';
import { NEUTRAL_SAMPLING } from '#contracts/sampling.js';
import { FAKE_BASE, FakeEngine, type FakeGeneration } from '../../../test/support/fake-engine.js';
import { EngineFleet } from './engine-fleet.js';
import { registerFleetMetrics } from './fleet-metrics.js';

const FINISH: GenerateEvent = {
  type: 'finish',
  reason: 'length',
  stopReason: null,
  text: '',
  usage: { promptTokens: 1, cachedTokens: 0, completionTokens: 0 },
  timing: { queue_ms: 0, ttft_ms: 0, total_ms: 0 },
};
const START: GenerateEvent = { type: 'start', promptTokens: 1 };
const request = (adapter?: string): GenerateRequest => ({
  requestId: 'r',
  cacheSalt: 't',
  fairnessKey: 't',
  ...(adapter === undefined ? {} : { adapter }),
  input: { kind: 'tokens', tokens: [1, 2, 3] },
  minTokens: 0,
  ignoreEos: false,
  stop: [],
  stopTokenIds: [],
  includeStop: false,
  sampling: { ...NEUTRAL_SAMPLING, temperature: 1 },
  returnPromptTokens: false,
});
const forever = new AbortController().signal;
const pollTimes = { poll_ms: 20, retry_ms: 10 };

let engines: FakeEngine[];
let fleet: EngineFleet;
beforeEach(async () => {
  engines = [await FakeEngine.start('fake-0'), await FakeEngine.start('fake-1')];
  for (const engine of engines) {
    engine.script = (generation) => {
      generation.send(START, FINISH);
      generation.end();
    };
  }
  const logger = pino({ level: 'silent' });
  fleet = new EngineFleet({
    engineUrls: engines.map(({ url }) => url),
    engineToken: 'token',
    logger,
    pollTimes,
  });
});
afterEach(async () => {
  await fleet.onModuleDestroy();
  await Promise.all(engines.map((engine) => engine.close()));
});

async function serve(adapter?: string): Promise<string> {
  const { engine, events } = await fleet.generate(request(adapter), forever);
  const seen = [];
  for await (const event of events) seen.push(event.type);
  expect(seen).toEqual(['start', 'finish']);
  return engine;
}

describe('EngineFleet', () => {
  it('answers the base model before any poll has run', async () => {
    expect(fleet.ready()).toBe(false);
    expect(await fleet.base()).toEqual(FAKE_BASE);
    expect(fleet.ready()).toBe(true);
  });

  it('throws engine_unavailable while no engine is ready, with a delay to try again', async () => {
    for (const engine of engines) engine.status = { ...engine.status, state: 'loading' };
    await expect(fleet.base()).rejects.toMatchObject({
      code: 'engine_unavailable',
      details: { retryAfter_s: 10 },
    });
    await expect(fleet.generate(request(), forever)).rejects.toMatchObject({ code: 'engine_unavailable' });
  });

  it('sends a request to the engine that holds its adapter', async () => {
    const [first, second] = engines as [FakeEngine, FakeEngine];
    second.status.adapters.resident = [{ digest: 'a', bytes: 1, requests: 0 }];
    second.status.load.queuedTokens = 500;
    expect(await serve('a')).toBe('fake-1');
    expect(await serve('b')).toBe('fake-0');
    expect(first.requests).toHaveLength(1);
  });

  it('spreads requests over engines between two polls', async () => {
    expect([await serve(), await serve(), await serve()]).toEqual(['fake-0', 'fake-1', 'fake-0']);
  });

  it('goes to the next engine when the best one refuses or is gone', async () => {
    const [first] = engines as [FakeEngine, FakeEngine];
    first.script = (generation) => generation.refuse('overloaded', 'full');
    expect(await serve()).toBe('fake-1');
    first.script = (generation) => generation.cut();
    expect(await serve()).toBe('fake-1');
  });

  it('begins again elsewhere, unnoticed, when an engine is gone before the first token', async () => {
    const [first, second] = engines as [FakeEngine, FakeEngine];
    first.status.adapters.resident = [{ digest: 'a', bytes: 1, requests: 0 }];
    for (const fails of [
      (generation: FakeGeneration) => {
        generation.send(START);
        setTimeout(() => generation.cut(), 10);
      },
      (generation: FakeGeneration) => {
        generation.send(START, {
          type: 'error',
          code: 'internal_error',
          message: 'a step failed',
          shared: true,
        });
      },
    ]) {
      first.script = fails;
      expect(await serve('a')).toBe('fake-0');
    }
    expect([first.requests.length, second.requests.length]).toEqual([2, 2]);
  });

  it('does not begin again after the first token, nor for ever', async () => {
    const [first] = engines as [FakeEngine, FakeEngine];
    const token: GenerateEvent = { type: 'tokens', text: 'a', ids: [1] };
    first.script = (generation) => {
      generation.send(START, token);
      setTimeout(() => generation.cut(), 10);
    };
    const seen: GenerateEvent[] = [];
    for await (const event of (await fleet.generate(request(), forever)).events) seen.push(event);
    expect(seen).toMatchObject([START, token, { type: 'error', code: 'engine_unavailable' }]);
    for (const engine of engines) {
      engine.script = (generation) => {
        generation.send(START);
        setTimeout(() => generation.cut(), 10);
      };
    }
    const twice: GenerateEvent[] = [];
    for await (const event of (await fleet.generate(request(), forever)).events) twice.push(event);
    expect(twice).toMatchObject([START, { type: 'error', code: 'engine_unavailable' }]);
  });

  it('sends nothing to a drained engine, in any process, until it is undrained', async () => {
    const other = new EngineFleet({
      engineUrls: engines.map(({ url }) => url),
      engineToken: 'token',
      logger: pino({ level: 'silent' }),
      pollTimes: { ...pollTimes, poll_ms: 60_000 },
    });
    other.onModuleInit();
    await vi.waitFor(() => expect(other.ready()).toBe(true), 10_000);
    await fleet.base();
    expect(await fleet.setDrained('fake-0', true)).toMatchObject({ state: 'draining' });
    expect([await serve(), await serve()]).toEqual(['fake-1', 'fake-1']);
    const { engine } = await other.generate(request(), forever); // it has not heard of it
    expect(engine).toBe('fake-1');
    await fleet.setDrained('fake-1', true);
    await expect(fleet.generate(request(), forever)).rejects.toMatchObject({ code: 'engine_unavailable' });
    expect(await fleet.base()).toEqual(FAKE_BASE);
    expect(fleet.ready()).toBe(false);
    await fleet.setDrained(new URL(engines[0]?.url ?? '').host, false);
    expect(await serve()).toBe('fake-0');
    await expect(fleet.setDrained('fake-9', true)).rejects.toMatchObject({ code: 'not_found' });
    await other.onModuleDestroy();
  });

  it('does not offer a bad request to another engine', async () => {
    const [first, second] = engines as [FakeEngine, FakeEngine];
    first.script = (generation) => generation.refuse('invalid_request', 'bad');
    await expect(serve()).rejects.toMatchObject({ code: 'invalid_request' });
    expect(second.requests).toHaveLength(0);
  });

  it('sends nothing to an engine with another base model', async () => {
    const [first, second] = engines as [FakeEngine, FakeEngine];
    second.status.base = { ...FAKE_BASE, digest: 'other' };
    first.status.load.queuedTokens = 1000;
    expect([await serve(), await serve()]).toEqual(['fake-0', 'fake-0']);
  });

  it('notices a new base model after the engines restarted with one', async () => {
    fleet.onModuleInit();
    expect((await fleet.base()).digest).toBe(FAKE_BASE.digest);
    for (const engine of engines) engine.status.base = { ...FAKE_BASE, digest: 'new' };
    await vi.waitFor(async () => expect((await fleet.base()).digest).toBe('new'), 10_000);
  });

  it('ends open streams with an error event when the engine stops answering', async () => {
    fleet.onModuleInit();
    const token: GenerateEvent = { type: 'tokens', text: 'a', ids: [1] };
    const [first] = engines as [FakeEngine, FakeEngine];
    first.script = (generation) => {
      generation.send(START, token);
      first.status = { broken: true } as never; // hangs on, but says nothing sensible any more
    };
    const { events } = await fleet.generate(request(), forever);
    const seen: GenerateEvent[] = [];
    for await (const event of events) seen.push(event);
    expect(seen).toMatchObject([START, token, { type: 'error', code: 'engine_unavailable' }]);
    expect(fleet.statuses()[0]).toMatchObject({ state: 'unreachable', openStreams: 0 });
  });

  it('goes on to ask an engine that it lost', async () => {
    fleet.onModuleInit();
    const [first] = engines as [FakeEngine, FakeEngine];
    const { status } = first;
    const stateOfFirst = () => fleet.statuses()[0]?.state;
    first.status = { broken: true } as never;
    await vi.waitFor(() => expect(stateOfFirst()).toBe('unreachable'), 10_000);
    first.status = status;
    await vi.waitFor(() => expect(stateOfFirst()).toBe('ready'), 10_000);
  });

  it('does not poll once per request while all engines are away', async () => {
    for (const engine of engines) engine.status = { ...engine.status, state: 'failed' };
    const attempts = Array.from({ length: 50 }, () => fleet.base().catch(() => 'away'));
    expect(new Set(await Promise.all(attempts))).toEqual(new Set(['away']));
    expect(engines[0]?.statusCalls).toBe(1);
  });

  it('hears of an engine that came up a moment after it was asked', async () => {
    const patient = new EngineFleet({
      engineUrls: engines.map(({ url }) => url),
      engineToken: 'token',
      logger: pino({ level: 'silent' }),
      pollTimes: { poll_ms: 60_000, retry_ms: 60_000 },
    });
    for (const engine of engines) engine.status = { ...engine.status, state: 'loading' };
    await expect(patient.base()).rejects.toMatchObject({ code: 'engine_unavailable' });
    for (const engine of engines) engine.status = { ...engine.status, state: 'ready' };
    expect(await patient.base()).toEqual(FAKE_BASE);
    await patient.onModuleDestroy();
  });

  it('drops an adapter on every engine, whichever of them is away', async () => {
    const [first, second] = engines as [FakeEngine, FakeEngine];
    await first.close();
    await fleet.dropAdapter('a');
    expect(second.dropped).toEqual(['a']);
    engines[0] = await FakeEngine.start();
  });

  it('counts open streams until they end', async () => {
    const [first] = engines as [FakeEngine, FakeEngine];
    first.script = (generation) => generation.send(START);
    const controller = new AbortController();
    const { events } = await fleet.generate(request(), controller.signal);
    const registry = new Registry();
    registerFleetMetrics(registry, fleet);
    expect(await registry.metrics()).toContain(`lorikeet_fleet_open_streams{engine="${first.url}"} 1`);
    controller.abort();
    await expect(events[Symbol.asyncIterator]().next()).rejects.toMatchObject({
      code: 'client_closed_request',
    });
    expect(await registry.metrics()).toContain(`lorikeet_fleet_open_streams{engine="${first.url}"} 0`);
  });
});
