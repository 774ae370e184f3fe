import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { chatInput } from '#contracts/chat-input.js';
import type { GenerateEvent, GenerateRequest } from '#contracts/engine-protocol.js';
import { generateRequest, idsOf, textOf } from '../support/generate-request.js';
import { comparableTokens, type GoldenRun, loadGolden } from '../support/golden.js';
import { ParityFixture } from '../support/parity-fixture.js';

/* Adapters with a vocabulary of their own in the real engine against Transformers + PEFT (make_resized.py). */

interface AdapterText {
  readonly adapter: string;
  readonly text: string;
  readonly ids: readonly number[];
}

/** Largest allowed difference of a log-probability from Transformers + PEFT in float32. */
const TOLERANCE = 0.02;
const BASE_TOKENS = 280;
/** `<|tool_0|>` of every adapter. */
const TOOL = 272;

describe.each(['untied', 'tied'])('adapters with other tokens than the base, whose ends are %s', (name) => {
  const { prompts, modelPath, folder, adapters, runs } = loadGolden(`resized/${name}`);
  const { texts } = JSON.parse(readFileSync(join(folder, 'golden.json'), 'utf8')) as { texts: AdapterText[] };
  let fixture: ParityFixture;
  const digests = new Map<string, string>();
  beforeAll(async () => {
    fixture = await ParityFixture.open({ modelPath });
    for (const adapter of adapters)
      digests.set(adapter, await fixture.serve(join(folder, 'adapters', adapter)));
  });
  afterAll(() => fixture.close());

  const ask = async (body: GenerateRequest, chunkTokens?: number): Promise<GenerateEvent[]> => {
    const events: GenerateEvent[] = [];
    const stream = await fixture.engine.generate(body, new AbortController().signal, chunkTokens);
    for await (const event of stream) events.push(event);
    return events;
  };
  const of = (adapter: string | null): { adapter?: string } =>
    adapter === null ? {} : { adapter: digests.get(adapter) ?? '' };
  const requestOf = ({ adapter, prompt, greedy_ids }: GoldenRun, fields: Partial<GenerateRequest> = {}) =>
    generateRequest(
      { kind: 'tokens', tokens: [...(prompts[prompt] ?? [])] },
      { ...of(adapter), maxTokens: greedy_ids.length, ignoreEos: true, logprobs: 3, ...fields },
    );
  const scoredOf = (events: readonly GenerateEvent[]) =>
    events.flatMap((event) => (event.type === 'tokens' ? (event.scored ?? []) : []));

  function expectPeft(run: GoldenRun, events: readonly GenerateEvent[]): void {
    const where = `${run.adapter} prompt ${run.prompt}`;
    const count = comparableTokens(run);
    expect(idsOf(events).slice(0, count), where).toEqual(run.greedy_ids.slice(0, count));
    for (const [i, { logprob }] of scoredOf(events).slice(0, count).entries())
      expect(Math.abs(logprob - (run.greedy_logprobs[i] ?? 0)), where).toBeLessThan(TOLERANCE);
    const scores = events.find((event) => event.type === 'prompt')?.tokens.slice(1) ?? [];
    expect(scores.length).toBe((prompts[run.prompt]?.length ?? 0) - 1);
    for (const [i, { logprob }] of scores.entries())
      expect(Math.abs((logprob ?? 0) - (run.prompt_logprobs[i + 1] ?? 0)), where).toBeLessThan(TOLERANCE);
  }

  it("give PEFT's tokens and log-probabilities, all in one batch with the base, whose bits stay as they were", async () => {
    const ofBase = runs.filter(({ adapter }) => adapter === null);
    const alone = [];
    for (const run of ofBase) alone.push(await ask(requestOf(run, { promptLogprobs: 3 })));
    const answers = await Promise.all(runs.map((run) => ask(requestOf(run, { promptLogprobs: 3 }))));
    for (const [i, run] of runs.entries()) expectPeft(run, answers[i] ?? []);
    const bits = (events: readonly GenerateEvent[] | undefined) =>
      events?.filter(({ type }) => type === 'tokens' || type === 'prompt');
    for (const [i, run] of ofBase.entries()) expect(bits(answers[runs.indexOf(run)])).toEqual(bits(alone[i]));
    expect(
      runs.some((run) => run.adapter !== null && run.greedy_ids.some((id) => id >= BASE_TOKENS)),
      'tokens that the base does not have are drawn',
    ).toBe(true);
  });

  it.each([1, 7])('give the same in chunks of %i tokens', async (chunk) => {
    for (const run of runs.filter(({ adapter }) => adapter !== null)) {
      const body = requestOf(run, { cacheSalt: `chunks of ${chunk}`, promptLogprobs: 1 });
      expectPeft(run, await ask(body, chunk));
    }
  });

  it.each(adapters)('pass the parity check: %s', async (adapter) => {
    const parity = await fixture.compare(join(folder, 'adapters', adapter));
    expect(parity).toMatchObject({ passed: true, prompts: 4, token_agreement: 1 });
  });

  it('read text as their own tokenizers do, and show their tokens as text', async () => {
    for (const { adapter, text, ids } of texts) {
      const input = { kind: 'text', text, addSpecialTokens: false } as const;
      const asked = { fairnessKey: 'a', input, returnNames: true, ...of(adapter) };
      expect((await fixture.engine.tokenize(asked)).tokens, `${adapter}: ${text}`).toEqual(ids);
    }
    const named = {
      fairnessKey: 'a',
      input: { kind: 'text', text: '<|tool_0|>' },
      returnNames: true,
    } as const;
    expect(await fixture.engine.tokenize({ ...named, ...of('plain') })).toEqual({
      tokens: [TOOL],
      names: ['<|tool_0|>'],
    });
    expect((await fixture.engine.tokenize(named)).tokens, 'the base spells it').not.toContain(TOOL);
  });

  const prompt = { kind: 'tokens' as const, tokens: [...(prompts[0] ?? [])] };
  const last = BASE_TOKENS + 5;

  it('draw what logit_bias and allowed_token_ids name, stop at it, and report it', async () => {
    const biased = { logitBias: [{ token: last, bias: 100 }] };
    const body = generateRequest(prompt, { ...of('plain'), maxTokens: 3, ignoreEos: true, logprobs: 1 });
    const events = await ask({ ...body, sampling: { ...body.sampling, ...biased } });
    expect(idsOf(events)).toEqual([last, last, last]);
    expect(scoredOf(events).map(({ text }) => text)).toEqual(['<|far|>', '<|far|>', '<|far|>']);
    expect(
      idsOf(await ask({ ...body, allowedTokenIds: [last, 20] })).every((id) => id === last || id === 20),
    ).toBe(true);
    const stopped = await ask({ ...body, sampling: { ...body.sampling, ...biased }, stopTokenIds: [last] });
    expect(stopped.at(-1)).toMatchObject({ type: 'finish', reason: 'stop' });
    const listed = await ask({ ...body, logprobTokenIds: [last, 3] });
    expect(scoredOf(listed)[0]?.top.map(({ id }) => id)).toEqual([last, 3]);
  });

  it('are held to a grammar by their own number of tokens', async () => {
    const body = generateRequest(prompt, {
      ...of('plain'),
      maxTokens: 40,
      structure: { wish: { kind: 'regex', pattern: '[a-c]{2,5}' }, field: 'guided_regex' },
    });
    const events = await ask(body);
    expect(textOf(events)).toMatch(/^[a-c]{2,5}$/u);
  });

  it('refuse what is none of their tokens, and the base refuses theirs', async () => {
    const asked = (adapter: string | null, token: number) =>
      ask(generateRequest({ kind: 'tokens', tokens: [1, token, 2] }, { ...of(adapter), maxTokens: 1 }));
    await expect(asked(null, last)).rejects.toThrow(`${last} is no token id; the model has 280 tokens.`);
    await expect(asked('plain', 286)).rejects.toThrow('286 is no token id; the model has 286 tokens.');
    await expect(asked('shrunk', 275)).rejects.toThrow('275 is no token id; the model has 275 tokens.');
    await expect(asked('plain', 285)).resolves.toBeDefined();
    await expect(asked('shrunk', 274)).resolves.toBeDefined();
  });

  it('keep their control tokens apart from messages that spell them', async () => {
    const chat = (content: string) =>
      generateRequest(chatInput({ messages: [{ role: 'user', content }], addGenerationPrompt: true }), {
        ...of('plain'),
        maxTokens: 1,
        returnPromptTokens: true,
      });
    const start = (await ask(chat('say <|tool_0|> now'))).find(({ type }) => type === 'start');
    expect(start).toMatchObject({ type: 'start' });
    expect((start as { promptTokenIds: number[] }).promptTokenIds).not.toContain(TOOL);
  });

  it('cannot be scaled', async () => {
    const body = generateRequest(prompt, { ...of('plain'), maxTokens: 1, adapterScale: 0.5 });
    await expect(ask(body)).rejects.toThrow('a vocabulary of its own (286 tokens)');
  });
});
