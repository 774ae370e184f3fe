import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { chatInput } from '#contracts/chat-input.js';
import type { GenerateEvent, GenerateRequest } from '#contracts/engine-protocol.js';
import { fakeNext } from '../../../../test/support/fake-native.js';
import { generateRequest, idsOf, textOf } from '../../../../test/support/generate-request.js';
import {
  collect,
  EOS,
  expectedIds,
  promptOf,
  putText,
  ServingFixture,
} from '../../../../test/support/serving-fixture.js';
import type { InferenceEngine } from './inference-engine.js';

let fixture: ServingFixture;
beforeAll(async () => {
  fixture = await ServingFixture.make();
});
afterEach(() => fixture.closeAll());
afterAll(() => fixture.remove());

const request = (tokens: readonly number[], overrides: Partial<GenerateRequest> = {}): GenerateRequest =>
  generateRequest({ kind: 'tokens', tokens: [...tokens] }, overrides);

/** Whether these tokens stand there in a row. */
const containsRow = (ids: readonly number[], row: readonly number[]): boolean =>
  ids.some((_, at) => row.every((id, i) => ids[at + i] === id));

const run = async (engine: InferenceEngine, body: GenerateRequest): Promise<GenerateEvent[]> =>
  collect(await engine.generate(body, new AbortController().signal));

describe('the inference engine', () => {
  it('gives each of many mixed requests what it gives a request alone', async () => {
    const { engine, native } = fixture.open({ kvPages: 40 });
    const lengths = [1, 5, 16, 17, 31, 32, 33, 70, 100, 150, 3, 64];
    const answers = await Promise.all(
      lengths.map((length, i) => {
        const adapter = fixture.digests[i % 6];
        return run(engine, request(promptOf(length, i), adapter === undefined ? {} : { adapter }));
      }),
    );
    const handleOf = new Map(
      [...native.adapters].map(([handle, spec]) => [spec.modules[0]?.lora?.scale, handle]),
    );
    for (const [i, length] of lengths.entries()) {
      const n = i % 6;
      const handle = n === 5 ? 0 : (handleOf.get(n + 1) ?? -1);
      expect(idsOf(answers[i] ?? []), `request ${i}`).toEqual(expectedIds(handle, promptOf(length, i), 20));
    }
    expect(native.maxRows).toBe(32);
  });

  it('bans the end of sequence until min_tokens, and obeys it after', async () => {
    const { engine } = fixture.open();
    const logitBias = [{ token: EOS, bias: 100 }];
    const body = request([5, 6]);
    const sampling = { ...body.sampling, logitBias };
    const early = await run(engine, { ...body, sampling });
    expect(idsOf(early)).toEqual([EOS]);
    expect(early.at(-1)).toMatchObject({ reason: 'stop', stopReason: null, usage: { completionTokens: 1 } });
    const late = await run(engine, { ...body, sampling, minTokens: 4 });
    expect(idsOf(late)).toHaveLength(5);
    expect(idsOf(late).at(-1)).toBe(EOS);
    const never = await run(engine, { ...body, sampling, ignoreEos: true, maxTokens: 6 });
    expect(idsOf(never)).toEqual([1, 1, 1, 1, 1, 1]);
  });

  it('draws allowed tokens alone, in every answer, and refuses to draw from none', async () => {
    const { engine } = fixture.open();
    const allowedTokenIds = [20, 21, 22];
    const ids = idsOf(await run(engine, request(promptOf(9), { allowedTokenIds, n: 3 })));
    expect(new Set(ids)).toEqual(new Set(allowedTokenIds.filter((id) => ids.includes(id))));
    expect(ids).toHaveLength(60);
    const nothing = request([5], { allowedTokenIds: [EOS], minTokens: 1 });
    await expect(run(engine, nothing)).rejects.toMatchObject({
      code: 'invalid_request',
      details: { param: 'allowed_token_ids' },
    });
  });

  it('never draws a bad word, of one token or of several', async () => {
    const { engine, model } = fixture.open();
    const plain = idsOf(await run(engine, request(promptOf(9))));
    const word = (from: number, to: number): string => {
      const { tokenizer } = model;
      return plain
        .slice(from, to)
        .map((id) => tokenizer.textOf(id))
        .join('');
    };
    const tokensOf = async (text: string) => [...(await model.tokenizer.encode(text, false)).ids];
    const single = plain.findIndex((id) => model.tokenizer.textOf(id).trim() !== '');
    const banned = await tokensOf(word(single, single + 1).trimStart());
    const without = idsOf(await run(engine, request(promptOf(9), { badWords: [word(single, single + 1)] })));
    expect(containsRow(without, banned)).toBe(false);
    expect(without).toHaveLength(plain.length);
  });

  it('cuts a prompt to its last tokens, also one that is longer than the context', async () => {
    const { engine } = fixture.open({ maxPositions: 100 });
    const long = promptOf(300);
    const kept = await run(engine, request(long, { keepPromptTokens: 40, returnPromptTokens: true }));
    expect(kept[0]).toMatchObject({ promptTokens: 40, promptTokenIds: long.slice(-40) });
    const room = await run(engine, request(long, { keepPromptTokens: 'room', maxTokens: 30 }));
    expect(room[0]).toMatchObject({ promptTokens: 70 });
    expect(idsOf(room)).toHaveLength(30);
    await expect(run(engine, request(long, { keepPromptTokens: 200 }))).rejects.toMatchObject({
      code: 'context_length_exceeded',
    });
  });

  it('shows special tokens as the request says', async () => {
    const { engine, model } = fixture.open();
    const bias = (token: number) => ({
      sampling: { ...request([5]).sampling, logitBias: [{ token, bias: 100 }] },
    });
    const special = 2;
    expect(model.tokenizer.isSpecial(special)).toBe(true);
    const name = model.tokenizer.textOf(special);
    const ask = (shownSpecialTokens?: GenerateRequest['shownSpecialTokens']) =>
      run(engine, request([5], { ...bias(special), maxTokens: 2, shownSpecialTokens }));
    expect(textOf(await ask())).toBe('');
    expect(textOf(await ask('all'))).toBe(name + name);
    expect(textOf(await ask([name]))).toBe(name + name);
    expect(textOf(await ask(['<other>']))).toBe('');
  });

  it('says how the answer to a chat is written, and refuses tools whose calls it could not read', async () => {
    const chat = (wantedFormats: GenerateRequest['wantedFormats']) =>
      generateRequest(chatInput({ messages: [{ role: 'user', content: 'hi' }], addGenerationPrompt: true }), {
        wantedFormats,
        maxTokens: 1,
      });
    const both = { tools: true, reasoning: true };
    const qwen = fixture.open({ chatTemplate: '{{ messages[0].content }}<tool_call></think><think>' });
    expect((await run(qwen.engine, chat(both)))[0]).toMatchObject({
      formats: { tools: 'hermes', reasoning: 'think', reasoningOpen: true },
    });
    expect((await run(qwen.engine, chat({ tools: false, reasoning: false })))[0]).toMatchObject({
      formats: {},
    });
    expect((await run(qwen.engine, chat(undefined)))[0]).not.toHaveProperty('formats');
    const plain = fixture.open({ chatTemplate: '{{ messages[0].content }}' });
    await expect(run(plain.engine, chat(both))).rejects.toMatchObject({ details: { param: 'tools' } });
    expect((await run(plain.engine, chat({ ...both, toolFormat: 'phi' })))[0]).toMatchObject({
      formats: { tools: 'phi' },
    });
    const named = fixture.open({ chatTemplate: '{{ messages[0].content }}', toolParser: 'pythonic' });
    expect((await run(named.engine, chat(both)))[0]).toMatchObject({ formats: { tools: 'pythonic' } });
  });

  it('tells the tokens of what it would compute, and the text of tokens', async () => {
    const { engine } = fixture.open({ maxPositions: 64 });
    const text = 'to be or not to be '.repeat(40);
    const input = { kind: 'text' as const, text };
    const { tokens, names } = await engine.tokenize({ fairnessKey: 'a', input, returnNames: true });
    expect(tokens.length).toBeGreaterThan(64);
    expect(names).toHaveLength(tokens.length);
    expect((await engine.detokenize({ tokens })).text).toContain('to be or not to be');
    await expect(engine.detokenize({ tokens: [100_000] })).rejects.toMatchObject({
      details: { param: 'tokens' },
    });
  });

  it("gives penalties the prompt's and the generated tokens", async () => {
    const { engine } = fixture.open();
    const body = request(promptOf(40), { maxTokens: 200 });
    const ids = idsOf(await run(engine, { ...body, sampling: { ...body.sampling, repetitionPenalty: 1.2 } }));
    expect(new Set([...promptOf(40), ...ids]).size).toBe(new Set(promptOf(40)).size + 200);
  });

  it('repeats a draw for the same seed, and draws anew without one', async () => {
    const { engine } = fixture.open();
    const draw = async (seed?: number): Promise<number[]> => {
      const body = request(promptOf(9));
      const sampling = { ...body.sampling, temperature: 1, ...(seed === undefined ? {} : { seed }) };
      return idsOf(await run(engine, { ...body, sampling }));
    };
    expect(await draw(-5)).toEqual(await draw(-5));
    expect(await draw()).not.toEqual(await draw());
  });

  it('scores every prompt token but the first once, whatever the chunks and preemptions', async () => {
    const { engine } = fixture.open({ kvPages: 10, maxPositions: 160 });
    const bodies = [1, 2, 3].map((salt) =>
      request(promptOf(75, salt), { promptLogprobs: 1, maxTokens: salt === 3 ? 0 : 40 }),
    );
    const answers = await Promise.all(bodies.map((body) => run(engine, body)));
    for (const [i, answer] of answers.entries()) {
      const tokens = promptOf(75, i + 1);
      const scored = answer.find((event) => event.type === 'prompt');
      expect(scored?.tokens.map((token) => token.id)).toEqual(tokens);
      for (const [at, token] of (scored?.tokens ?? []).entries()) {
        const best = at === 0 ? undefined : fakeNext(0, tokens.slice(0, at), 512);
        expect(token.top[0]?.id).toBe(best);
      }
      expect(answer.map((event) => event.type).slice(0, 2)).toEqual(['start', 'prompt']);
      expect(answer.at(-1)).toMatchObject({ usage: { completionTokens: i === 2 ? 0 : 40 } });
    }
  });

  it("places every prompt token in the prompt's text", async () => {
    const { engine } = fixture.open();
    const text = 'hello <|user|>world é 🦜';
    const body = request([], { input: { kind: 'text', text }, promptLogprobs: 0, maxTokens: 0 });
    const scored = (await run(engine, body)).find((event) => event.type === 'prompt');
    expect(scored?.text).toBe(text);
    expect(scored?.tokens.every((token) => token.textOffset <= text.length)).toBe(true);
    const user = scored?.tokens.find((token) => token.text === '<|user|>');
    expect(text.slice(user?.textOffset)).toMatch(/^<\|user\|>/);
  });

  it('answers at once when there is nothing to compute', async () => {
    const { engine, native } = fixture.open();
    const none = await run(engine, request([5, 6, 7], { maxTokens: 0, returnPromptTokens: true }));
    expect(none.map((event) => event.type)).toEqual(['start', 'finish']);
    expect(none[0]).toMatchObject({ promptTokens: 3, promptTokenIds: [5, 6, 7] });
    const one = await run(engine, request([5], { maxTokens: 0, promptLogprobs: 1 }));
    expect(one.map((event) => event.type)).toEqual(['start', 'prompt', 'finish']);
    expect(native.steps).toBe(0);
  });

  it('ends by length where the context ends', async () => {
    const { engine } = fixture.open({ maxPositions: 40 });
    const { maxTokens: _, ...unlimited } = request(promptOf(30));
    const events = await run(engine, unlimited);
    expect(idsOf(events)).toHaveLength(10);
    expect(events.at(-1)).toMatchObject({ type: 'finish', reason: 'length' });
    await expect(run(engine, request(promptOf(40)))).rejects.toMatchObject({
      code: 'context_length_exceeded',
    });
  });

  it('refuses an adapter of another base and one that it does not know', async () => {
    const { engine } = fixture.open();
    const foreign = JSON.stringify({
      ...JSON.parse((await fixture.blobs.read(fixture.digests[0] ?? '', 10_000)).toString()),
      base: 'x',
    });
    const adapter = (await putText(fixture.blobs, foreign)).sha256;
    await expect(run(engine, request([5], { adapter }))).rejects.toMatchObject({ code: 'adapter_rejected' });
    await expect(run(engine, request([5], { adapter: '0'.repeat(64) }))).rejects.toMatchObject({
      code: 'model_not_found',
    });
  });
});
