import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { chatInput } from '#contracts/chat-input.js';
import type { GenerateEvent, GenerateRequest } from '#contracts/engine-protocol.js';
import { finishOf, generateRequest, idsOf } from '../support/generate-request.js';
import { comparableTokens, type GoldenRun, loadGolden } from '../support/golden.js';
import { ParityFixture } from '../support/parity-fixture.js';

/* Activated LoRAs (aLoRA) in the real engine against PEFT (make_activated.py). */

interface ActivatedRun extends GoldenRun {
  readonly adapter: string;
  readonly invoked_at: number | null;
}

/** Largest allowed difference of a log-probability from Transformers + PEFT in float32. */
const TOLERANCE = 0.02;

const { prompts, modelPath, folder, adapters } = loadGolden('activated');
const { runs } = JSON.parse(readFileSync(join(folder, 'golden.json'), 'utf8')) as { runs: ActivatedRun[] };

describe('activated LoRAs', () => {
  let fixture: ParityFixture;
  const digests = new Map<string, string>();
  beforeAll(async () => {
    fixture = await ParityFixture.open({ modelPath });
    for (const name of adapters) digests.set(name, await fixture.serve(join(folder, 'adapters', name)));
  });
  afterAll(() => fixture.close());

  const ask = async (body: GenerateRequest, chunkTokens?: number): Promise<GenerateEvent[]> => {
    const events: GenerateEvent[] = [];
    const stream = await fixture.engine.generate(body, new AbortController().signal, chunkTokens);
    for await (const event of stream) events.push(event);
    return events;
  };
  const requestOf = (run: ActivatedRun, fields: Partial<GenerateRequest> = {}): GenerateRequest =>
    generateRequest(
      { kind: 'tokens', tokens: [...(prompts[run.prompt] ?? [])] },
      {
        adapter: digests.get(run.adapter) ?? '',
        maxTokens: run.greedy_ids.length,
        ignoreEos: true,
        logprobs: 0,
        ...fields,
      },
    );

  function expectPeft(run: ActivatedRun, events: readonly GenerateEvent[], where: string): void {
    const count = comparableTokens(run);
    expect(idsOf(events).slice(0, count), where).toEqual(run.greedy_ids.slice(0, count));
    const scored = events.flatMap((event) => (event.type === 'tokens' ? (event.scored ?? []) : []));
    for (const [i, { logprob }] of scored.slice(0, count).entries())
      expect(Math.abs(logprob - (run.greedy_logprobs[i] ?? 0)), where).toBeLessThan(TOLERANCE);
    const length = prompts[run.prompt]?.length ?? 0;
    expect(finishOf(events)?.usage.adapterTokens).toBe(run.invoked_at === null ? 0 : length - run.invoked_at);
  }

  it("give PEFT's tokens and log-probabilities, all in one batch with the base, then from the cache", async () => {
    for (const cached of [false, true]) {
      const base = ask(generateRequest({ kind: 'tokens', tokens: [...(prompts[3] ?? [])] }));
      const answers = await Promise.all(runs.map((run) => ask(requestOf(run))));
      await base;
      for (const [i, run] of runs.entries()) {
        const where = `${run.adapter} prompt ${run.prompt}${cached ? ' cached' : ''}`;
        expectPeft(run, answers[i] ?? [], where);
        const most = (prompts[run.prompt]?.length ?? 0) - 1;
        if (cached) expect(finishOf(answers[i] ?? [])?.usage.cachedTokens, where).toBe(most);
      }
    }
  });

  it.each([1, 3, 16])('give the same in chunks of %i tokens', async (chunk) => {
    for (const run of runs) {
      const body = requestOf(run, { cacheSalt: `chunks of ${chunk}`, promptLogprobs: 0 });
      const events = await ask(body, chunk);
      expectPeft(run, events, `${run.adapter} prompt ${run.prompt}`);
      const scores = events.find((event) => event.type === 'prompt')?.tokens.slice(1) ?? [];
      for (const [i, { logprob }] of scores.entries())
        expect(Math.abs((logprob ?? 0) - (run.prompt_logprobs[i + 1] ?? 0))).toBeLessThan(TOLERANCE);
    }
  });

  it('are invoked by the turn that a chat template opens', async () => {
    const chat = (addGenerationPrompt: boolean) => ({
      ...generateRequest(
        chatInput({ messages: [{ role: 'user', content: 'hello there' }], addGenerationPrompt }),
        { adapter: digests.get('turns') ?? '', maxTokens: 4 },
      ),
    });
    expect(finishOf(await ask(chat(true)))?.usage.adapterTokens).toBe(1);
    expect(finishOf(await ask(chat(false)))?.usage.adapterTokens).toBe(0);
  });

  it.each(adapters)('pass the parity check: %s', async (name) => {
    const parity = await fixture.compare(join(folder, 'adapters', name));
    expect(parity).toMatchObject({ passed: true, prompts: 4, token_agreement: 1 });
    expect(parity.effect).toBeGreaterThan(0.1);
  });
});
