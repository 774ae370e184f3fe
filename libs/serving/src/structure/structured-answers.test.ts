import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import type { GenerateEvent, GenerateRequest } from '#contracts/engine-protocol.js';
import type { StructureWish } from '#contracts/structure-wish.js';
import { finishOf, generateRequest, idsOf, textOf } from '../../../../test/support/generate-request.js';
import {
  collect,
  EOS,
  expectedIds,
  promptOf,
  ServingFixture,
} from '../../../../test/support/serving-fixture.js';
import type { InferenceEngine } from '../loop/inference-engine.js';

// What is awaited is computed: a busy machine only takes longer.
vi.setConfig({ testTimeout: 120_000 });

let fixture: ServingFixture;
beforeAll(async () => {
  fixture = await ServingFixture.make();
});
afterEach(() => fixture.closeAll());
afterAll(() => fixture.remove());

const ask = (
  prompt: readonly number[],
  wish: StructureWish | undefined,
  overrides: Partial<GenerateRequest> = {},
) =>
  generateRequest(
    { kind: 'tokens', tokens: [...prompt] },
    { maxTokens: 80, ...(wish ? { structure: { wish, field: 'guided' } } : {}), ...overrides },
  );
const run = async (engine: InferenceEngine, body: GenerateRequest): Promise<GenerateEvent[]> =>
  collect(await engine.generate(body, new AbortController().signal));
const letters = (count: number): StructureWish => ({ kind: 'regex', pattern: `[a-z]{${count}}` });

describe('an engine whose answers have structures', () => {
  it('gives the others their tokens as ever, in the same steps', async () => {
    const { engine, native } = fixture.open({ stepTurns: 3 });
    const answers = await Promise.all(
      Array.from({ length: 8 }, (_, i) =>
        run(engine, ask(promptOf(9, i), i % 2 === 0 ? letters(20) : undefined)),
      ),
    );
    for (const [i, answer] of answers.entries()) {
      if (i % 2 === 0) expect(textOf(answer)).toMatch(/^[a-z]{20}$/);
      else expect(idsOf(answer)).toEqual(expectedIds(0, promptOf(9, i), 80));
    }
    expect(native.maxRows).toBeGreaterThan(8);
  });

  it('computes a token once more whose mask came too late, and draws the same', async () => {
    const wanted = await run(fixture.open().engine, ask(promptOf(9), letters(12)));
    const { engine, native, registry } = fixture.open();
    native.lateMasks = 5;
    const got = await run(engine, ask(promptOf(9), letters(12)));
    expect(idsOf(got)).toEqual(idsOf(wanted));
    expect(await registry.metrics()).toMatch(/masks_late_total ([5-9]|\d\d)/);
  });

  it('lets a request that lost its pages go on where it was', async () => {
    const wish = letters(60);
    const alone = await run(fixture.open({ kvPages: 64 }).engine, ask(promptOf(30, 1), wish));
    const { engine, registry } = fixture.open({ kvPages: 12, maxSequences: 6 });
    const answers = await Promise.all(
      Array.from({ length: 6 }, (_, i) => run(engine, ask(promptOf(30, i), wish))),
    );
    for (const answer of answers) expect(textOf(answer)).toMatch(/^[a-z]{60}$/);
    expect(idsOf(answers[1] ?? [])).toEqual(idsOf(alone));
    expect(await registry.metrics()).toMatch(/preemptions_total [1-9]/);
  });

  it('ends an answer with its structure, also where the end of text is to be ignored', async () => {
    const { engine } = fixture.open();
    const all = await run(engine, ask(promptOf(9), letters(3), { ignoreEos: true }));
    expect(idsOf(all).at(-1)).toBe(EOS);
    expect(finishOf(all)).toMatchObject({ reason: 'stop', stopReason: null });
  });

  it('guesses ahead, and gives the tokens that it gives without, in fewer steps, also where masks come late', async () => {
    const wishes = [letters(60), { kind: 'regex', pattern: '([a-c]{3},){15}' }] as const;
    const bodies = Array.from({ length: 8 }, (_, i) => {
      const body = ask(promptOf(9, i), wishes[i % 2]);
      return i % 4 < 2 ? body : { ...body, sampling: { ...body.sampling, temperature: 1, seed: i } };
    });
    const plain = fixture.open({ memoryTokens: 1, kvPages: 200 });
    const wanted = await Promise.all(bodies.map((body) => run(plain.engine, body)));
    const speculation = { ngram: { maxDraft: 6, minMatch: 1 } };
    for (const lateMasks of [0, 40]) {
      const { engine, native, registry } = fixture.open({ memoryTokens: 1, kvPages: 200 });
      native.lateMasks = lateMasks;
      const got = await Promise.all(bodies.map((body) => run(engine, { ...body, speculation })));
      expect(got.map(idsOf)).toEqual(wanted.map(idsOf));
      expect(await registry.metrics()).toMatch(/speculation_accepted_tokens_total [1-9]\d/);
      if (lateMasks === 0) expect(native.steps).toBeLessThan(plain.native.steps);
    }
  });

  it('hold to allowed_token_ids too, with guesses and without a structure', async () => {
    const { engine } = fixture.open();
    const plain = { fairnessKey: 'a', returnNames: false };
    const letterOf = async (text: string) =>
      (await engine.tokenize({ ...plain, input: { kind: 'text', text, addSpecialTokens: false } })).tokens;
    const allowedTokenIds = [...(await Promise.all([...'abc'].map(letterOf))).flat(), EOS];
    expect(allowedTokenIds).toHaveLength(4);
    const prediction = 'abcab'.repeat(8);
    const wish = { kind: 'regex', pattern: '[a-z]{12}' } as const;
    for (const structure of [wish, undefined])
      for (const more of [{}, { prediction, temperature: 1 }]) {
        const { temperature = 0, ...fields } = { temperature: 0, ...more };
        const body = ask(promptOf(9), structure, { allowedTokenIds, maxTokens: 30, ...fields });
        const answer = await run(engine, { ...body, sampling: { ...body.sampling, temperature, seed: 3 } });
        expect(idsOf(answer).length).toBeGreaterThan(0);
        expect(allowedTokenIds).toEqual(expect.arrayContaining(idsOf(answer)));
        if (structure) expect(textOf(answer)).toMatch(/^[abc]{12}$/);
      }
  });

  it('drops guesses that the structure does not allow', async () => {
    const { engine, registry } = fixture.open({ memoryTokens: 1 });
    const wanted = await run(engine, ask(promptOf(9), letters(20)));
    const prediction = 'Z 9 Z 9 Z 9 Z 9';
    const got = await run(engine, ask(promptOf(9), letters(20), { prediction }));
    expect(idsOf(got)).toEqual(idsOf(wanted));
    expect(await registry.metrics()).toMatch(/speculation_accepted_tokens_total 0/);
  });

  it('fails a request whose structure and bans leave nothing, and no other', async () => {
    const { engine } = fixture.open();
    const [failed, other] = await Promise.all([
      run(engine, ask(promptOf(9), { kind: 'choice', choices: ['yes'] }, { minTokens: 50 })),
      run(engine, ask(promptOf(9, 2), letters(30))),
    ]);
    expect(failed.at(-1)).toMatchObject({ type: 'error', code: 'invalid_request' });
    expect(textOf(other)).toMatch(/^[a-z]{30}$/);
  });

  it('compiles wishes in fair turns', async () => {
    const { engine } = fixture.open();
    const order: string[] = [];
    const begin = async (fairnessKey: string, count: number) => {
      const events = await engine.generate(
        ask(promptOf(9), letters(count), { fairnessKey }),
        new AbortController().signal,
      );
      order.push(fairnessKey);
      await collect(events);
    };
    await Promise.all([...[1, 2, 3, 4, 5, 6].map((count) => begin('many', count)), begin('one', 7)]);
    expect(order.indexOf('one')).toBeLessThan(3);
  });

  it('refuses a wish that takes too long to compile, while others go on', async () => {
    const { engine } = fixture.open({ structureTimeout_ms: 1 });
    const slow = {
      kind: 'json_schema',
      schema: { type: 'string', maxLength: 64, pattern: '^(a|b)*[^c]+$' },
    } as const;
    await expect(run(engine, ask(promptOf(9), slow))).rejects.toMatchObject({
      code: 'invalid_request',
      message: expect.stringContaining('guided: it was not ready within 1 ms') as unknown,
    });
  });
});
