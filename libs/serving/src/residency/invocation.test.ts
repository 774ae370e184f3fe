import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { GenerateEvent, GenerateRequest } from '#contracts/engine-protocol.js';
import { compositionDigest } from '#runtime/composition-digest.js';
import { activatedFrom } from '../../../../test/support/fake-native.js';
import { finishOf, generateRequest, idsOf } from '../../../../test/support/generate-request.js';
import {
  collect,
  expectedIds,
  promptOf,
  ServingFixture,
  storeActivated,
} from '../../../../test/support/serving-fixture.js';
import type { InferenceEngine } from '../loop/inference-engine.js';
import { lastInvocation } from './invocation.js';

const INVOCATION = [3, 4, 5];
let fixture: ServingFixture;
let activated: string;
let other: string;
beforeAll(async () => {
  fixture = await ServingFixture.make();
  activated = await storeActivated(fixture.blobs, 6, INVOCATION);
  other = await storeActivated(fixture.blobs, 7, [6]);
});
afterEach(() => fixture.closeAll());
afterAll(() => fixture.remove());

const request = (tokens: readonly number[], overrides: Partial<GenerateRequest> = {}): GenerateRequest =>
  generateRequest({ kind: 'tokens', tokens: [...tokens] }, { maxTokens: 6, ...overrides });
const run = async (engine: InferenceEngine, body: GenerateRequest): Promise<GenerateEvent[]> =>
  collect(await engine.generate(body, new AbortController().signal));
const invoked = (before: number, after = 7): number[] => [
  ...promptOf(before),
  ...INVOCATION,
  ...promptOf(after, 2),
];
const usageOf = (events: readonly GenerateEvent[]) => finishOf(events)?.usage;

describe('the place of an invocation', () => {
  it('is the last one in the prompt, also at its very beginning and end', () => {
    expect(lastInvocation([1, 2, 9, 1, 2], [1, 2])).toBe(3);
    expect(lastInvocation([1, 2, 9], [1, 2])).toBe(0);
    expect(lastInvocation([1, 1, 1], [1, 1])).toBe(1);
    expect(lastInvocation([1, 9, 2], [1, 2])).toBeUndefined();
    expect(lastInvocation([2], [1, 2])).toBeUndefined();
  });
});

describe('an activated LoRA in the engine', () => {
  it.each([0, 1, 15, 16, 17, 30, 31, 32, 33, 47])(
    'acts from its invocation after %i tokens on, whatever the chunks and what is cached',
    async (before) => {
      const { engine } = fixture.open();
      const prompt = invoked(before);
      const expected = expectedIds(activatedFrom(1, before), prompt, 6);
      for (const chunk of [1, 5, undefined]) {
        const body = request(prompt, { adapter: activated, cacheSalt: `chunks of ${chunk}` });
        const signal = new AbortController().signal;
        const events = await collect(await engine.generate(body, signal, chunk));
        expect(idsOf(events)).toEqual(expected);
        expect(usageOf(events)?.adapterTokens).toBe(prompt.length - before);
        const again = await run(engine, body);
        expect(idsOf(again)).toEqual(expected);
        expect(usageOf(again)?.cachedTokens).toBe(prompt.length - 1);
      }
    },
  );

  it("takes the base's pages for what comes before, down to the token, and gives the base its own", async () => {
    const { engine, native } = fixture.open({ kvPages: 200 });
    await run(engine, request(promptOf(44), { maxTokens: 1 }));
    const prompt = invoked(44);
    const first = await run(engine, request(prompt, { adapter: activated }));
    expect(usageOf(first)?.cachedTokens).toBe(44);
    expect(idsOf(first)).toEqual(expectedIds(activatedFrom(1, 44), prompt, 6));
    const longer = [...promptOf(80), 6, 9];
    expect(usageOf(await run(engine, request(longer, { adapter: other })))?.cachedTokens).toBe(44);
    const base = await run(engine, request([...promptOf(80), 9]));
    expect(usageOf(base)?.cachedTokens).toBe(80);
    expect(idsOf(base)).toEqual(expectedIds(0, [...promptOf(80), 9], 6));
    expect(native.adapters.size).toBe(2);
  });

  it('shares nothing from its invocation on with the base, another LoRA, or a later invocation', async () => {
    const { engine } = fixture.open({ kvPages: 200 });
    const prompt = invoked(20, 40);
    await run(engine, request(prompt, { adapter: activated }));
    expect(usageOf(await run(engine, request(prompt)))?.cachedTokens).toBe(16);
    const twice = [...prompt, ...INVOCATION, 9];
    const later = await run(engine, request(twice, { adapter: activated }));
    // What the base has computed of the prompt meanwhile is what comes before the last invocation.
    expect(usageOf(later)?.cachedTokens).toBe(prompt.length);
    expect(idsOf(later)).toEqual(expectedIds(activatedFrom(1, prompt.length), twice, 6));
    const plain = await run(engine, request(prompt, { adapter: fixture.digests[0] ?? '' }));
    expect(usageOf(plain)?.cachedTokens).toBe(0);
  });

  it('leaves a prompt without its invocation to the base, whatever is generated', async () => {
    const { engine, native } = fixture.open();
    const prompt = promptOf(30);
    await run(engine, request(prompt));
    const events = await run(engine, request(prompt, { adapter: activated }));
    expect(idsOf(events)).toEqual(expectedIds(0, prompt, 6));
    expect(usageOf(events)).toMatchObject({ adapterTokens: 0, cachedTokens: 29 });
    expect(native.adapters.size).toBe(0);
    expect(usageOf(await run(engine, request(prompt)))).not.toHaveProperty('adapterTokens');
  });

  it('goes in one batch with others, and is computed again after it had to give way', async () => {
    const { engine, registry } = fixture.open({ kvPages: 14, maxStepTokens: 24 });
    const bodies = [
      request(invoked(20, 30), { adapter: activated, maxTokens: 50 }),
      request(invoked(33, 9), { adapter: activated, maxTokens: 40 }),
      request([...promptOf(40, 3), 6, 9], { adapter: other, maxTokens: 30 }),
      request(promptOf(25, 4), { adapter: fixture.digests[0] ?? '', maxTokens: 30 }),
      request(promptOf(30), { maxTokens: 30 }),
    ];
    await loadAll(engine);
    const together = await Promise.all(bodies.map((body) => run(engine, body)));
    expect(await registry.metrics()).not.toContain('preemptions_total 0');
    const { engine: roomy } = fixture.open({ kvPages: 200 });
    await loadAll(roomy);
    for (const [i, body] of bodies.entries()) {
      expect(idsOf(together[i] ?? [])).toEqual(idsOf(await run(roomy, { ...body, cacheSalt: `${i}` })));
    }
  });

  it('is forgotten with its pages, and not the base’s before them', async () => {
    const { engine } = fixture.open();
    await run(engine, request(invoked(40, 40), { adapter: activated }));
    engine.dropAdapter(activated);
    expect(engine.status().kv.cachedPages).toBe(2);
    expect(usageOf(await run(engine, request(promptOf(40))))?.cachedTokens).toBe(32);
  });

  it('is scaled, scored from its first token, and refuses to be added to another', async () => {
    const { engine } = fixture.open();
    const prompt = invoked(18);
    await run(engine, request(prompt, { adapter: activated }));
    const scaled = await run(engine, request(prompt, { adapter: activated, adapterScale: 0.5 }));
    expect(usageOf(scaled)?.cachedTokens).toBe(16);
    const scored = await run(engine, request(prompt, { adapter: activated, promptLogprobs: 0 }));
    expect(scored.find((event) => event.type === 'prompt')?.tokens).toHaveLength(prompt.length);
    const composition = [activated, fixture.digests[0] ?? ''].map((digest) => ({ digest, weight: 1 }));
    const both = request(prompt, { adapter: compositionDigest(composition), composition });
    await expect(run(engine, both)).rejects.toMatchObject({
      code: 'invalid_request',
      message: expect.stringContaining('an activated LoRA (alora_invocation_tokens) goes alone'),
    });
  });
});

/** To the fake an adapter is its handle, which it gives out in order. */
async function loadAll(engine: InferenceEngine): Promise<void> {
  for (const digest of [activated, other, fixture.digests[0] ?? ''])
    await engine.loadAdapter(digest, new AbortController().signal);
}
