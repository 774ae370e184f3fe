import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { GenerateEvent, GenerateRequest } from '#contracts/engine-protocol.js';
import { generateRequest, idsOf, textOf } from '../../../../test/support/generate-request.js';
import { collect, EOS, promptOf, ServingFixture } from '../../../../test/support/serving-fixture.js';
import type { InferenceEngine } from '../loop/inference-engine.js';
import { Speculation } from './speculation.js';

let fixture: ServingFixture;
beforeAll(async () => {
  fixture = await ServingFixture.make();
});
afterEach(() => fixture.closeAll());
afterAll(() => fixture.remove());

const SPECULATION = { ngram: { maxDraft: 6, minMatch: 2 } };

const request = (tokens: readonly number[], overrides: Partial<GenerateRequest> = {}): GenerateRequest =>
  generateRequest({ kind: 'tokens', tokens: [...tokens] }, overrides);

const run = async (engine: InferenceEngine, body: GenerateRequest): Promise<GenerateEvent[]> =>
  collect(await engine.generate(body, new AbortController().signal));

/** A model whose next token depends on the last one only, so that its text soon repeats itself. */
const open = (overrides = {}) => fixture.open({ memoryTokens: 1, vocabSize: 24, kvPages: 200, ...overrides });

const acceptedOf = (metrics: string): number =>
  Number(/speculation_accepted_tokens_total (\d+)/.exec(metrics)?.[1]);

describe('speculation in the engine', () => {
  it('gives the tokens that it gives without, in fewer steps, greedy and drawn, with adapters', async () => {
    const bodies = Array.from({ length: 12 }, (_, i) => {
      const adapter = fixture.digests[i % 4];
      const body = request(
        promptOf(5 + i, i).map((token) => 7 + (token % 12)),
        {
          maxTokens: 60 + i,
          ...(i % 4 === 3 || adapter === undefined ? {} : { adapter }),
        },
      );
      const sampling = { ...body.sampling, ...(i % 3 === 0 ? { temperature: 1, seed: i } : {}) };
      return { ...body, sampling };
    });
    const plain = open();
    const { engine, native, registry } = open();
    // What the fake's adapters say depends on the order in which they came.
    for (const digest of fixture.digests) {
      await plain.engine.loadAdapter(digest, new AbortController().signal);
      await engine.loadAdapter(digest, new AbortController().signal);
    }
    const wanted = await Promise.all(bodies.map((body) => run(plain.engine, body)));
    const got = await Promise.all(bodies.map((body) => run(engine, { ...body, speculation: SPECULATION })));
    expect(got.map(idsOf)).toEqual(wanted.map(idsOf));
    expect(got.map(textOf)).toEqual(wanted.map(textOf));
    expect(got.map((all) => all.at(-1))).toMatchObject(
      wanted.map((all) => {
        const { timing: _, ...rest } = all.at(-1) as Extract<GenerateEvent, { type: 'finish' }>;
        return rest;
      }),
    );
    expect(native.steps).toBeLessThan(plain.native.steps);
    expect(acceptedOf(await registry.metrics())).toBeGreaterThan(100);
  });

  it('is on for all by the setting, and off for one that says so', async () => {
    const { engine, native, registry } = open({ speculation: 'ngram' });
    await run(engine, request([8, 9], { maxTokens: 60, speculation: {} }));
    expect(acceptedOf(await registry.metrics())).toBe(0);
    const { steps } = native;
    await run(engine, request([8, 9], { maxTokens: 60 }));
    expect(native.steps - steps).toBeLessThan(40);
    expect(acceptedOf(await registry.metrics())).toBeGreaterThan(0);
  });

  it('ends where it would end without: at max_tokens, a stop token, the end of sequence, a stop string', async () => {
    const { engine } = open();
    const text = await run(engine, request([8, 9], { maxTokens: 60 }));
    const ids = idsOf(text);
    const shown = textOf(text);
    const cases: Partial<GenerateRequest>[] = [
      ...[1, 2, 3, 29, 30, 31, 32, 33].map((maxTokens) => ({ maxTokens })),
      { stopTokenIds: [ids[40] as number], minTokens: 38 },
      { stop: [shown.slice(-6, -3)], minTokens: 40 },
      { stop: [shown.slice(-9, -4)], includeStop: true, minTokens: 37 },
    ];
    for (const overrides of cases) {
      const body = request([8, 9], { maxTokens: 60, ...overrides });
      const wanted = await run(engine, body);
      const got = await run(engine, { ...body, speculation: SPECULATION });
      expect(idsOf(got)).toEqual(idsOf(wanted));
      expect(textOf(got)).toBe(textOf(wanted));
      expect(got.at(-1)).toMatchObject({
        ...pick(wanted),
        usage: { completionTokens: idsOf(wanted).length },
      });
    }
    const banned = request([8, 9], { maxTokens: 60, minTokens: 45 });
    const eos = { ...banned.sampling, logitBias: [{ token: EOS, bias: 100 }] };
    const got = await run(engine, { ...banned, sampling: eos, speculation: SPECULATION });
    expect(idsOf(got)).toHaveLength(46);
    expect(idsOf(got).at(-1)).toBe(EOS);
  });

  it('leaves pages that a follow-up turn finds right, whatever was guessed wrong', async () => {
    const { engine } = open();
    const first = await run(engine, request([8, 9], { maxTokens: 50, speculation: SPECULATION }));
    const turn = [8, 9, ...idsOf(first), 10, 11, 12];
    const next = await run(engine, request(turn, { maxTokens: 20 })); // the fake checks every slot it reads
    expect(next.at(-1)).toMatchObject({ usage: { cachedTokens: 51 } });
  });

  it('counts the tokens of its drafts in penalties', async () => {
    const { engine, registry } = open();
    const body = request([8, 9], { maxTokens: 60 });
    const sampling = { ...body.sampling, frequencyPenalty: 0.5 };
    const wanted = await run(engine, { ...body, sampling, speculation: {} });
    const got = await run(engine, { ...body, sampling, speculation: SPECULATION });
    expect(idsOf(got)).toEqual(idsOf(wanted));
    expect(acceptedOf(await registry.metrics())).toBeGreaterThan(0);
  });

  it('keeps its rows when pages are short, and loses no token to preemption', async () => {
    const { engine } = open({ kvPages: 12 });
    const plain = open();
    const bodies = [1, 2, 3, 4].map((salt) =>
      request([8, 9, 7 + salt], { maxTokens: 70, cacheSalt: `${salt}` }),
    );
    const wanted = await Promise.all(bodies.map((body) => run(plain.engine, body)));
    const got = await Promise.all(bodies.map((body) => run(engine, { ...body, speculation: SPECULATION })));
    expect(got.map(idsOf)).toEqual(wanted.map(idsOf));
  });
});

describe('an answer that the caller expects', () => {
  const usageOf = (events: readonly GenerateEvent[]) => {
    const finish = events.at(-1);
    return finish?.type === 'finish' ? finish.usage : undefined;
  };
  const spelled = async (engine: InferenceEngine, tokens: readonly number[]): Promise<string> =>
    (await engine.detokenize({ tokens: [...tokens] })).text;
  /** Words with a space before them: a text of them has just these tokens. */
  const words = async (engine: InferenceEngine): Promise<number[]> => {
    const all = Array.from({ length: 490 }, (_, i) => 10 + i);
    const texts = await Promise.all(all.map((token) => spelled(engine, [token])));
    return all.filter((_, i) => / [a-z]+$/.test(texts[i] ?? ''));
  };
  const opened = async () => {
    const { engine, native } = open({ memoryTokens: 4, vocabSize: 512 });
    const allowedTokenIds = await words(engine);
    expect(allowedTokenIds.length).toBeGreaterThan(40);
    const drawn = request([8, 9], { maxTokens: 60, speculation: {}, allowedTokenIds });
    const body = { ...drawn, sampling: { ...drawn.sampling, temperature: 1, seed: 5 } };
    return { engine, native, body, words: allowedTokenIds };
  };

  it('comes in fewer steps, and is what it is without', async () => {
    const { engine, native, body } = await opened();
    const plain = await run(engine, body);
    const alone = native.steps;
    const ids = idsOf(plain);
    const right = await run(engine, { ...body, prediction: await spelled(engine, ids) });
    expect(idsOf(right)).toEqual(ids);
    expect(native.steps - alone).toBeLessThan(15);
    expect(usageOf(right)).toMatchObject({
      predicted: { accepted: expect.any(Number) as number, rejected: 0 },
    });
    expect(usageOf(plain)).not.toHaveProperty('predicted');
  });

  it('is found again behind what was changed in it', async () => {
    const { engine, native, body, words: others } = await opened();
    const ids = idsOf(await run(engine, body));
    const unused = others.filter((word) => !ids.includes(word));
    const before = native.steps;
    const changed = [...ids.slice(0, 20), ...unused.slice(0, 2), ...ids.slice(26)]; // two for six
    const edited = await run(engine, { ...body, prediction: await spelled(engine, changed) });
    expect(idsOf(edited)).toEqual(ids);
    expect(native.steps - before).toBeLessThan(50);
    const { predicted } = usageOf(edited) ?? {};
    expect(predicted?.accepted).toBeGreaterThan(10);
    expect(predicted?.rejected).toBeGreaterThan(0);
  });

  it('costs no token where it is wrong, and goes with penalties', async () => {
    const { engine, body, words: others } = await opened();
    const ids = idsOf(await run(engine, body));
    const wrong = await run(engine, {
      ...body,
      prediction: await spelled(engine, others.filter((word) => !ids.includes(word)).slice(0, 5)),
    });
    expect(idsOf(wrong)).toEqual(ids);
    expect(usageOf(wrong)).toMatchObject({ completionTokens: 60, predicted: { accepted: 0 } });
    const sampling = { ...body.sampling, repetitionPenalty: 1.1 };
    const penalised = await run(engine, { ...body, maxTokens: 25, sampling });
    const prediction = await spelled(engine, idsOf(penalised));
    const expected = await run(engine, { ...body, maxTokens: 25, sampling, prediction });
    expect(idsOf(expected)).toEqual(idsOf(penalised));
    expect(usageOf(expected)?.predicted?.accepted).toBeGreaterThan(10);
  });

  it('is refused where no answer could be as long', async () => {
    const { engine } = open();
    const asked = run(engine, request([8, 9], { maxTokens: 5, prediction: 'a b '.repeat(100_000) }));
    await expect(asked).rejects.toMatchObject({
      code: 'context_length_exceeded',
      details: { param: 'prediction' },
    });
  });
});

const pick = (events: readonly GenerateEvent[]) => {
  const finish = events.at(-1);
  if (finish?.type !== 'finish') throw new Error('it did not finish');
  return { reason: finish.reason, stopReason: finish.stopReason };
};

describe('what is guessed', () => {
  const repeating = Int32Array.from({ length: 400 }, (_, i) => i % 5);
  const speculation = () =>
    new Speculation({
      ngram: { maxDraft: 6, minMatch: 2 },
      predicted: Int32Array.of(7, 8, 9),
      model: { maxDraft: 4 },
      promptTokens: 400,
    });

  it('is what the draft model says, else what the caller expects, else what was said before', () => {
    const asked = speculation();
    expect(asked.draft(repeating, 99, [1, 2, 3])).toEqual([1, 2, 3]);
    expect(asked.kind).toBe('draft');
    expect(asked.draft(repeating, 99)).toEqual([7, 8, 9]);
    expect(asked.kind).toBe('prediction');
    expect(asked.draft(Int32Array.of(...repeating, 0), 99)).toEqual([1, 2, 3, 4, 0, 1]);
    expect(asked.kind).toBe('ngram');
  });

  it('is no more than there is room for, and counted by where it came from', () => {
    const asked = speculation();
    expect(asked.draft(repeating, 2, [1, 2, 3])).toEqual([1, 2]);
    asked.learn(2, 1);
    expect(asked.draft(repeating, 1)).toEqual([7]);
    asked.learn(1, 0);
    expect(asked.draft(repeating, 0, [1])).toEqual([]);
    expect(asked.counts).toMatchObject({
      draft: { drafted: 2, accepted: 1 },
      prediction: { drafted: 1, accepted: 0 },
    });
    expect(asked.predicted).toEqual({ accepted: 0, rejected: 1 });
  });
});
