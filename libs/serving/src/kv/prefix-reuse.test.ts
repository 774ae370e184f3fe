import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { GenerateEvent, GenerateRequest } from '#contracts/engine-protocol.js';
import { finishOf, generateRequest, idsOf } from '../../../../test/support/generate-request.js';
import { collect, expectedIds, promptOf, ServingFixture } from '../../../../test/support/serving-fixture.js';
import type { InferenceEngine } from '../loop/inference-engine.js';

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

const cachedOf = (events: readonly GenerateEvent[]): number | undefined =>
  finishOf(events)?.usage.cachedTokens;

describe('prefix reuse in the engine', () => {
  it('computes only the new tokens of a follow-up turn, and gives what it gives without a cache', async () => {
    const { engine, native, registry } = fixture.open();
    const first = await run(engine, request(promptOf(45)));
    const turn = [...promptOf(45), ...idsOf(first), ...promptOf(30, 2)];
    const before = native.rows;
    const second = await run(engine, request(turn, { maxTokens: 5 }));
    // The last generated token was never computed; then come the new tokens and four of the five generated ones.
    expect(native.rows - before).toBe(1 + 30 + 4);
    expect(cachedOf(second)).toBe(45 + 19);
    expect(idsOf(second)).toEqual(expectedIds(0, turn, 5));
    const metrics = await registry.metrics();
    expect(metrics).toContain('lorikeet_engine_prefix_hit_tokens_total 64');
    expect(metrics).toContain(`lorikeet_engine_prefix_queried_tokens_total ${45 + 95}`);
  });

  it('never shares between tenants or between adapters', async () => {
    const { engine } = fixture.open({ kvPages: 200 });
    const scopes = [
      { cacheSalt: 'a' },
      { cacheSalt: 'b' },
      ...fixture.digests.slice(0, 2).map((adapter) => ({ cacheSalt: 'a', adapter })),
    ];
    for (const scope of scopes) expect(cachedOf(await run(engine, request(promptOf(50), scope)))).toBe(0);
    for (const scope of scopes) expect(cachedOf(await run(engine, request(promptOf(50), scope)))).toBe(49);
  });

  it('computes a common beginning once for requests that come together', async () => {
    const { engine, native } = fixture.open({ maxStepTokens: 64 });
    const prompts = [1, 2, 3, 4].map((salt) => [...promptOf(160), ...promptOf(8, salt)]);
    const answers = await Promise.all(
      prompts.map((tokens) => run(engine, request(tokens, { maxTokens: 1 }))),
    );
    for (const [i, answer] of answers.entries()) {
      expect(idsOf(answer)).toEqual(expectedIds(0, prompts[i] ?? [], 1));
    }
    expect(native.rows).toBe(160 + 4 * 8);
  });

  it('scores a prompt in full although it is cached', async () => {
    const { engine } = fixture.open();
    await run(engine, request(promptOf(40)));
    const scored = await run(engine, request(promptOf(40), { promptLogprobs: 0, maxTokens: 2 }));
    expect(scored.find((event) => event.type === 'prompt')?.tokens).toHaveLength(40);
    expect(cachedOf(scored)).toBe(0);
  });

  it('finds its own pages again after a preemption', async () => {
    const { engine, registry } = fixture.open({ kvPages: 12 });
    const prompts = [1, 2].map((salt) => promptOf(80, salt));
    const answers = await Promise.all(
      prompts.map((tokens) => run(engine, request(tokens, { maxTokens: 60 }))),
    );
    for (const [i, answer] of answers.entries()) {
      expect(idsOf(answer)).toEqual(expectedIds(0, prompts[i] ?? [], 60));
      expect(cachedOf(answer)).toBe(0);
    }
    const metrics = await registry.metrics();
    expect(metrics).toMatch(/preemptions_total 1\b/);
    const recomputed = Number(/tokens_total\{kind="recomputed"\} (\d+)/.exec(metrics)?.[1] ?? 0);
    expect(recomputed).toBeLessThan(80);
    expect(metrics).not.toContain('prefix_evicted_pages_total 0');
  });

  it('forgets the prefixes of a dropped adapter when its last request ends', async () => {
    const { engine, native } = fixture.open();
    const adapter = fixture.digests[0] ?? '';
    await run(engine, request(promptOf(40), { adapter }));
    const running = run(engine, request(promptOf(60, 2), { adapter, maxTokens: 40 }));
    const { steps } = native;
    await expect.poll(() => native.steps, { interval: 1 }).toBeGreaterThan(steps);
    engine.dropAdapter(adapter);
    await running;
    expect(engine.status().kv.cachedPages).toBe(0);
    expect(engine.status().adapters.bytes).toBe(0);
    expect(cachedOf(await run(engine, request(promptOf(40), { adapter })))).toBe(0);
  });

  it('serves a request that needs the whole cache although another prefix fills it', async () => {
    const { engine } = fixture.open({ kvPages: 8, maxPositions: 128 });
    await run(engine, request(promptOf(100), { maxTokens: 28 }));
    const whole = [...promptOf(90), ...promptOf(20, 2)];
    expect(idsOf(await run(engine, request(whole, { maxTokens: 18 })))).toEqual(expectedIds(0, whole, 18));
  });
});
