import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import type { GenerateEvent, GenerateRequest } from '#contracts/engine-protocol.js';
import { generateRequest, idsOf } from '../../../../test/support/generate-request.js';
import { collect, expectedIds, promptOf, ServingFixture } from '../../../../test/support/serving-fixture.js';
import type { InferenceEngine } from './inference-engine.js';

let fixture: ServingFixture;
beforeAll(async () => {
  fixture = await ServingFixture.make();
});
afterEach(() => fixture.closeAll());
afterAll(() => fixture.remove());

const request = (tokens: readonly number[], overrides: Partial<GenerateRequest> = {}): GenerateRequest =>
  generateRequest({ kind: 'tokens', tokens: [...tokens] }, overrides);

const run = async (engine: InferenceEngine, body: GenerateRequest): Promise<GenerateEvent[]> =>
  collect(await engine.generate(body, new AbortController().signal));

describe('the life of requests in the engine', () => {
  it('preempts when the pages run out, and loses no token', async () => {
    const { engine, registry } = fixture.open({ kvPages: 12 });
    const bodies = [1, 2, 3, 4].map((salt) => request(promptOf(30, salt), { maxTokens: 60 }));
    const answers = await Promise.all(bodies.map((body) => run(engine, body)));
    for (const [i, answer] of answers.entries()) {
      expect(idsOf(answer)).toEqual(expectedIds(0, promptOf(30, i + 1), 60));
    }
    expect(await registry.getSingleMetricAsString('lorikeet_engine_preemptions_total')).not.toMatch(/ 0$/);
  });

  it('serves more adapters than fit at once, each request with its own', async () => {
    const { engine, native } = fixture.open({ adapterCacheBytes: 160 });
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, i) => {
        const adapter = fixture.digests[i % 5];
        return run(engine, request(promptOf(10, i), adapter === undefined ? {} : { adapter }));
      }),
    );
    expect(answers.every((answer) => answer.at(-1)?.type === 'finish')).toBe(true);
    expect(native.adapters.size).toBeLessThanOrEqual(2);
    for (const digest of fixture.digests) engine.dropAdapter(digest);
    expect(engine.status().adapters).toMatchObject({ bytes: 0, resident: [] });
    expect(native.adapters.size).toBe(0);
  });

  it('says what the model holds of the memory, by part, for as long as it is open', async () => {
    const { engine, native, registry } = fixture.open();
    const adapter = fixture.digests[0] ?? '';
    await run(engine, request([5, 6], { adapter }));
    const memory = { weightBytes: 1000, kvBytes: 200, adapterBytes: 80, scratchBytes: 30 };
    expect(engine.status().memory).toEqual(memory);
    const text = await registry.getSingleMetricAsString('lorikeet_engine_memory_bytes');
    expect(text).toContain('lorikeet_engine_memory_bytes{part="weights"} 1000');
    expect(text).toContain('lorikeet_engine_memory_bytes{part="kv"} 200');
    expect(text).toContain('lorikeet_engine_memory_bytes{part="adapters"} 80');
    expect(text).toContain('lorikeet_engine_memory_bytes{part="scratch"} 30');
    await engine.close(1_000);
    expect(native.closed).toBe(true);
    expect(engine.status().memory).toBeUndefined();
    expect(await registry.getSingleMetricAsString('lorikeet_engine_memory_bytes')).not.toContain('{part');
  });

  it('does not hold other requests up while an adapter loads, and fails only its own when it cannot', async () => {
    const { engine, native } = fixture.open();
    native.failLoad = 'no such tensor';
    const adapter = fixture.digests[0] ?? '';
    const [bad, good] = await Promise.allSettled([
      run(engine, request([5, 6], { adapter })),
      run(engine, request([5, 6])),
    ]);
    expect(bad).toMatchObject({ status: 'rejected', reason: { code: 'adapter_rejected' } });
    expect(good.status === 'fulfilled' && idsOf(good.value)).toEqual(expectedIds(0, [5, 6], 20));
    native.failLoad = undefined;
    expect((await run(engine, request([5, 6], { adapter }))).at(-1)?.type).toBe('finish');
  });

  it('frees the pages of a cancelled request within one step', async () => {
    const { engine, native } = fixture.open({ stepTurns: 3 });
    const controller = new AbortController();
    const events = await engine.generate(request(promptOf(100), { maxTokens: 400 }), controller.signal);
    for await (const event of events) if (event.type === 'tokens') break; // leaving cancels as well
    await expect.poll(() => engine.status().kv.freePages, { interval: 1 }).toBe(64);
    const reader = collect(
      await engine.generate(request(promptOf(50), { maxTokens: 400 }), controller.signal),
    );
    await expect.poll(() => engine.status().load.runningRequests, { interval: 1 }).toBe(1);
    const { steps } = native;
    controller.abort();
    expect((await reader).at(-1)).toMatchObject({ type: 'error', code: 'client_closed_request' });
    expect(native.steps - steps).toBeLessThanOrEqual(1);
    expect(engine.status().kv.freePages).toBe(64);
  });

  it('fails only the requests of a step that failed, and goes on', async () => {
    const { engine, native } = fixture.open();
    native.failStep = 2;
    const [first, second] = await Promise.all([
      run(engine, request(promptOf(5))),
      run(engine, request(promptOf(6))),
    ]);
    expect(first.at(-1)).toMatchObject({ type: 'error', code: 'internal_error', shared: true });
    expect(second.at(-1)).toMatchObject({ type: 'error', code: 'internal_error', shared: true });
    expect(idsOf(await run(engine, request(promptOf(5))))).toEqual(expectedIds(0, promptOf(5), 20));
  });

  it('answers for a step that ran out of memory as for an engine that is not there, and goes on', async () => {
    const { engine, native } = fixture.open();
    Object.assign(native, { failStep: 2, failKind: 'out_of_memory' });
    const events = await run(engine, request(promptOf(5)));
    expect(events.at(-1)).toMatchObject({ type: 'error', code: 'engine_unavailable', shared: true });
    expect(idsOf(await run(engine, request(promptOf(5))))).toEqual(expectedIds(0, promptOf(5), 20));
  });

  it.each(['step', 'load'])(
    'tells once of a device that a %s finds lost, and takes nothing after that',
    async (finder) => {
      const onDeviceLost = vi.fn<(error: unknown) => void>();
      const { engine, native } = fixture.open({ onDeviceLost });
      const adapter = fixture.digests[0] ?? '';
      Object.assign(native, {
        failKind: 'device_lost',
        ...(finder === 'step' ? { failStep: 1 } : { failLoad: 'gone' }),
      });
      const bodies = [1, 2, 3].map((salt) =>
        request(promptOf(5, salt), finder === 'load' ? { adapter } : {}),
      );
      const outcomes = await Promise.all(
        bodies.map((body) =>
          run(engine, body).then(
            (events) => events.at(-1),
            (error: unknown) => error,
          ),
        ),
      );
      expect(outcomes[0]).toMatchObject({ code: 'engine_unavailable' });
      expect(onDeviceLost).toHaveBeenCalledExactlyOnceWith(expect.objectContaining({ kind: 'device_lost' }));
      await expect(run(engine, request([5]))).rejects.toMatchObject({
        code: 'engine_unavailable',
        message: expect.stringContaining('lost its device'),
      });
    },
  );

  it('ends a request whose scores are not finite, and no other', async () => {
    const { engine, native } = fixture.open();
    native.poisonToken = 500;
    const [bad, good] = await Promise.all([
      run(engine, request([5, 500])),
      run(engine, request([5, 499], { maxTokens: 3 })),
    ]);
    expect(bad.at(-1)).toMatchObject({ type: 'error', code: 'internal_error' });
    expect(bad.at(-1)).not.toHaveProperty('shared');
    expect(good.at(-1)).toMatchObject({ type: 'finish' });
  });

  it('refuses requests when too many wait', async () => {
    const { engine } = fixture.open({ maxSequences: 1, maxQueuedRequests: 2 });
    const outcomes = await Promise.allSettled(
      [1, 2, 3, 4].map((salt) => run(engine, request(promptOf(5, salt)))),
    );
    expect(outcomes.map((outcome) => outcome.status)).toEqual([
      'fulfilled',
      'fulfilled',
      'fulfilled',
      'rejected',
    ]);
    expect((outcomes[3] as PromiseRejectedResult).reason).toMatchObject({ code: 'overloaded', status: 503 });
  });

  it('pauses a request whose reader is slow, and loses nothing of it', async () => {
    const { engine, native } = fixture.open({ maxPositions: 1000 });
    const events = await engine.generate(request([5, 6], { maxTokens: 900 }), new AbortController().signal);
    await expect.poll(() => native.steps).toBeGreaterThan(500);
    await expect
      .poll(async () => {
        const before = native.steps;
        await new Promise((resolve) => setTimeout(resolve, 50));
        return native.steps - before;
      })
      .toBe(0);
    expect(native.steps).toBeLessThan(600);
    // Others go on meanwhile.
    expect((await run(engine, request([9]))).at(-1)?.type).toBe('finish');
    expect(idsOf(await collect(events))).toEqual(expectedIds(0, [5, 6], 900));
  });

  it('does nothing while nobody asks', async () => {
    const { engine, native } = fixture.open();
    await run(engine, request([5]));
    const { steps } = native;
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(native.steps).toBe(steps);
  });

  it('lets running requests end when it closes, and takes no new ones', async () => {
    const { engine, native } = fixture.open();
    const running = run(engine, request([5], { maxTokens: 50 }));
    await expect.poll(() => native.steps, { interval: 1 }).toBeGreaterThan(0);
    const closed = engine.close(15_000);
    await expect(run(engine, request([5]))).rejects.toMatchObject({ code: 'engine_unavailable' });
    expect(idsOf(await running)).toHaveLength(50);
    await closed;
    expect(native.closed).toBe(true);
  });

  it('fails requests that take longer than it may wait when it closes', async () => {
    const { engine, native } = fixture.open({ maxPositions: 1000, stepTurns: 1000 });
    const running = run(engine, request([6], { maxTokens: 900 }));
    await expect.poll(() => native.steps, { interval: 1 }).toBeGreaterThan(0);
    await engine.close(1);
    expect((await running).at(-1)).toMatchObject({ type: 'error', code: 'engine_unavailable' });
    expect(engine.status().kv.freePages).toBe(64);
    expect(native.closed).toBe(true);
  });
});
