import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import type { GenerateEvent, GenerateRequest } from '#contracts/engine-protocol.js';
import { generateRequest } from '../../../../test/support/generate-request.js';
import { collect, expectedIds, promptOf, ServingFixture } from '../../../../test/support/serving-fixture.js';
import type { InferenceEngine } from './inference-engine.js';

let fixture: ServingFixture;
beforeAll(async () => {
  fixture = await ServingFixture.make();
});
afterEach(() => fixture.closeAll());
afterAll(() => fixture.remove());

const PROMPT = promptOf(70);
const sampled = (overrides: Partial<GenerateRequest> = {}, seed = 40): GenerateRequest => {
  const request = generateRequest({ kind: 'tokens', tokens: PROMPT }, { maxTokens: 12, ...overrides });
  return { ...request, sampling: { ...request.sampling, temperature: 1, seed } };
};
const run = async (engine: InferenceEngine, request: GenerateRequest) =>
  collect(await engine.generate(request, new AbortController().signal));
const idsOf = (events: readonly GenerateEvent[], choice: number | undefined) =>
  events.flatMap((event) => (event.type === 'tokens' && event.choice === choice ? event.ids : []));
const count = (events: readonly GenerateEvent[], type: GenerateEvent['type']) =>
  events.filter((event) => event.type === type).length;

describe('many answers to one prompt', () => {
  it('are what as many requests with following seeds get', async () => {
    const { engine } = fixture.open();
    const events = await run(engine, sampled({ n: 4 }));
    expect([count(events, 'start'), count(events, 'finish')]).toEqual([1, 4]);
    for (let choice = 0; choice < 4; choice++) {
      const alone = idsOf(await run(engine, sampled({}, 40 + choice)), undefined);
      expect(alone).toHaveLength(12);
      expect(idsOf(events, choice)).toEqual(alone);
    }
  });

  it('compute the prompt once', async () => {
    const { engine, native } = fixture.open();
    await run(engine, sampled({ n: 8 }));
    // Of 70 tokens 64 are full pages; each answer computes what follows, and its own tokens.
    expect(native.rows).toBeLessThanOrEqual(64 + 8 * (6 + 12));
  });

  it('score the prompt once, before any answer', async () => {
    const { engine, native } = fixture.open();
    const request = {
      ...sampled({ n: 3, promptLogprobs: 1 }),
      sampling: generateRequest(sampled().input).sampling,
    };
    const events = await run(engine, request);
    expect(count(events, 'prompt')).toBe(1);
    expect(events.slice(0, 2).map(({ type }) => type)).toEqual(['start', 'prompt']);
    for (const choice of [0, 1, 2]) expect(idsOf(events, choice)).toEqual(expectedIds(0, PROMPT, 12));
    expect(native.rows).toBeLessThanOrEqual(70 + 3 * (6 + 12));
    const scoredOnly = await run(engine, { ...request, maxTokens: 0 });
    expect([count(scoredOnly, 'prompt'), count(scoredOnly, 'finish')]).toEqual([1, 3]);
  });

  it('all end when the reader leaves, or when the signal aborts', async () => {
    const { engine } = fixture.open();
    for await (const event of await engine.generate(
      sampled({ n: 6, maxTokens: 300 }),
      new AbortController().signal,
    )) {
      if (event.type === 'tokens') break;
    }
    const controller = new AbortController();
    const events = await engine.generate(sampled({ n: 6, maxTokens: 300 }), controller.signal);
    const reader = collect(events);
    controller.abort();
    expect((await reader).at(-1)).toMatchObject({ type: 'error', code: 'client_closed_request' });
    await vi.waitFor(
      () => expect(engine.status().load.waitingRequests + engine.status().load.runningRequests).toBe(0),
      10_000,
    );
  });

  it('are counted as so many requests where requests are bounded', async () => {
    const { engine } = fixture.open({ maxSequences: 2, maxQueuedRequests: 2 });
    await expect(run(engine, sampled({ n: 5 }))).rejects.toMatchObject({ code: 'overloaded' });
    expect(count(await run(engine, sampled({ n: 4 })), 'finish')).toBe(4);
  });
});
