import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import type { GenerateEvent } from '#contracts/engine-protocol.js';
import { generateRequest, idsOf } from '../../../../test/support/generate-request.js';
import { expectedIds, promptOf, ServingFixture } from '../../../../test/support/serving-fixture.js';
import type { FakeNative } from '../../../../test/support/fake-native.js';
import type { InferenceEngine } from './inference-engine.js';

let fixture: ServingFixture;
beforeAll(async () => {
  fixture = await ServingFixture.make();
});
afterEach(() => fixture.closeAll());
afterAll(() => fixture.remove());

interface Asked {
  readonly tenant: string;
  readonly prompt: number[];
  readonly maxTokens: number;
}

/** All events, and how many steps went by until the first token. */
async function ask(engine: InferenceEngine, native: FakeNative, { tenant, prompt, maxTokens }: Asked) {
  const scope = { fairnessKey: tenant, cacheSalt: tenant, maxTokens };
  const body = generateRequest({ kind: 'tokens', tokens: prompt }, scope);
  const begin = native.steps;
  let firstAfter_steps: number | undefined;
  const events: GenerateEvent[] = [];
  for await (const event of await engine.generate(body, new AbortController().signal)) {
    if (event.type === 'tokens') firstAfter_steps ??= native.steps - begin;
    events.push(event);
  }
  return { ids: idsOf(events), firstAfter_steps };
}

it.each([
  ['slots', { maxSequences: 8, kvPages: 400 }],
  ['pages', { maxSequences: 32, kvPages: 70 }],
])('takes %s from a tenant that holds them all, and changes nobody’s tokens', async (_what, settings) => {
  const { engine, native, registry } = fixture.open({ ...settings, maxStepTokens: 64 });
  const greedy = Array.from({ length: 24 }, (_, i) => promptOf(20 + i, i));
  const answers = greedy.map((prompt) => ask(engine, native, { tenant: 'greedy', prompt, maxTokens: 200 }));
  while (native.steps < 60) await new Promise(setImmediate);
  for (let round = 0; round < 10; round++) {
    const prompt = promptOf(30, 100 + round);
    const { ids, firstAfter_steps } = await ask(engine, native, { tenant: 'modest', prompt, maxTokens: 3 });
    expect(ids).toEqual(expectedIds(0, prompt, 3));
    expect(firstAfter_steps).toBeLessThanOrEqual(5);
  }
  const all = await Promise.all(answers);
  for (const [i, prompt] of greedy.entries()) expect(all[i]?.ids).toEqual(expectedIds(0, prompt, 200));
  expect(await registry.metrics()).toMatch(/lorikeet_engine_preemptions_total [1-9]/);
});
