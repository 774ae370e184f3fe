import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import type { GenerateEvent, GenerateRequest } from '#contracts/engine-protocol.js';
import { FakeNative, type FakeNativeOptions } from '../../../../test/support/fake-native.js';
import { generateRequest, idsOf, textOf } from '../../../../test/support/generate-request.js';
import { collect, EOS, promptOf, ServingFixture } from '../../../../test/support/serving-fixture.js';
import type { InferenceEngine } from '../loop/inference-engine.js';
import { eagerDrafts } from '../../../../test/support/eager-drafts.js';

// What is awaited is computed: a busy machine only takes longer.
vi.setConfig({ testTimeout: 120_000 });

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

/** The same "weights" as the fake model, so that it knows what that says without an adapter. */
const draftOf = (options: Partial<FakeNativeOptions> = {}) =>
  new FakeNative({ kvPages: 64, pageTokens: 16, ...options });

const opened = (options: Partial<FakeNativeOptions> = {}, overrides = {}) =>
  fixture.open({
    kvPages: 100,
    speculation: 'auto',
    draft: draftOf(options),
    draftPolicy: eagerDrafts(),
    ...overrides,
  });

async function loadAll(...engines: readonly InferenceEngine[]): Promise<void> {
  // What the fake's adapters say depends on the order in which they came.
  for (const engine of engines) {
    for (const digest of fixture.digests) await engine.loadAdapter(digest, new AbortController().signal);
  }
}

/** Tokens that nobody has read become one event, so events are not compared. */
function answerOf(events: readonly GenerateEvent[]) {
  const scored = events.flatMap((event) => (event.type === 'tokens' ? (event.scored ?? []) : []));
  const finish = events.find((event) => event.type === 'finish');
  const { timing: _, ...ending } = finish ?? { timing: undefined };
  return { ids: idsOf(events), text: textOf(events), scored, ending };
}

const valueOf = (metrics: string, name: string, labels = ''): number =>
  Number(
    new RegExp(`^lorikeet_engine_${name}${labels && `\\{[^}\n]*${labels}\\}`} (\\d+)$`, 'm').exec(
      metrics,
    )?.[1],
  );

const CHOICES = [0, 1];
const ofChoice = (events: readonly GenerateEvent[], choice: number) =>
  events.filter((event) => !('choice' in event) || event.choice === choice);

const bodies = () =>
  Array.from({ length: 12 }, (_, i) => {
    const adapter = i % 3 === 0 ? undefined : fixture.digests[i % 3];
    const body = request(promptOf(5 + 9 * (i % 4), i), {
      maxTokens: 30 + i,
      ...(adapter === undefined ? {} : { adapter }),
      ...(i % 2 === 0 ? { logprobs: 2 } : {}),
      ...(i % 5 === 0 ? { n: 2 } : {}),
      ...(i % 6 === 1 ? { minTokens: 10, ignoreEos: false } : {}),
    });
    const drawn = i % 4 === 1 ? { temperature: 1, seed: i } : {};
    const penalties = i % 3 === 2 ? { repetitionPenalty: 1.2 } : {};
    return { ...body, sampling: { ...body.sampling, ...drawn, ...penalties } };
  });

describe('a draft model', () => {
  it('leaves every answer as it is, in fewer steps: greedy and drawn, with adapters, choices and log-probabilities', async () => {
    const plain = fixture.open({ kvPages: 100 });
    const drafted = opened();
    await loadAll(plain.engine, drafted.engine);
    const wanted = await Promise.all(bodies().map((body) => run(plain.engine, body)));
    const got = await Promise.all(bodies().map((body) => run(drafted.engine, body)));
    for (const [i, events] of got.entries()) {
      for (const choice of CHOICES) {
        const without = answerOf(ofChoice(wanted[i] ?? [], choice));
        expect(answerOf(ofChoice(events, choice))).toEqual(without);
      }
    }
    expect(drafted.native.steps).toBeLessThan(plain.native.steps);
  });

  it('counts what it guessed and what was right, by adapter', async () => {
    const { engine, registry } = opened();
    await loadAll(engine);
    const adapter = fixture.digests[0] as string;
    await run(engine, request(promptOf(5), { maxTokens: 33 }));
    await run(engine, request(promptOf(5), { maxTokens: 33, adapter }));
    const metrics = await registry.metrics();
    const base = 'adapter="base",kind="draft"';
    const drafted = valueOf(metrics, 'adapter_drafted_tokens_total', base);
    expect(drafted).toBeGreaterThan(20);
    expect(valueOf(metrics, 'adapter_accepted_tokens_total', base)).toBe(drafted);
    const other = `adapter="${adapter.slice(0, 12)}",kind="draft"`;
    expect(valueOf(metrics, 'adapter_drafted_tokens_total', other)).toBeGreaterThan(20);
    expect(valueOf(metrics, 'adapter_accepted_tokens_total', other)).toBeLessThan(5);
  });

  it('guesses under penalties as the model draws under them', async () => {
    const { engine, registry } = opened();
    const plain = fixture.open({ kvPages: 100 });
    const body = request(promptOf(5), { maxTokens: 60 });
    const penalised = { ...body, sampling: { ...body.sampling, repetitionPenalty: 1.2 } };
    const ids = idsOf(await run(engine, penalised));
    expect(ids).toEqual(idsOf(await run(plain.engine, penalised)));
    expect(new Set(ids).size).toBe(ids.length); // to the fake model a penalty is a ban
    const labels = 'kind="draft"';
    const metrics = await registry.metrics();
    const drafted = valueOf(metrics, 'adapter_drafted_tokens_total', labels);
    expect(drafted).toBeGreaterThan(30);
    expect(valueOf(metrics, 'adapter_accepted_tokens_total', labels)).toBe(drafted);
  });

  it('ends where it would end without: a stop token, the end of sequence, a stop string, max_tokens', async () => {
    const { engine } = opened();
    const text = await run(engine, request(promptOf(5), { maxTokens: 40, speculation: {} }));
    const ids = idsOf(text);
    const shown = textOf(text);
    const cases: Partial<GenerateRequest>[] = [
      ...[1, 2, 3, 9, 10, 11].map((maxTokens) => ({ maxTokens })),
      { stopTokenIds: [ids[20] as number] },
      { stop: [shown.slice(-9, -5)], minTokens: 12 },
      { stop: [shown.slice(-9, -5)], includeStop: true },
      {
        minTokens: 17,
        ignoreEos: false,
        sampling: { ...request([1]).sampling, logitBias: [{ token: EOS, bias: 100 }] },
      },
    ];
    for (const overrides of cases) {
      const body = request(promptOf(5), { maxTokens: 40, ...overrides });
      const wanted = await run(engine, { ...body, speculation: {} });
      const got = await run(engine, body);
      expect(idsOf(got)).toEqual(idsOf(wanted));
      expect(textOf(got)).toBe(textOf(wanted));
    }
  });

  it('reads prompts beside other requests, in bounded pieces, and not before their first token', async () => {
    const draft = draftOf();
    const { engine } = opened({}, { draft, maxStepTokens: 32 });
    const long = run(engine, request(promptOf(300), { maxTokens: 60 }));
    const others = [1, 2, 3].map((salt) => run(engine, request(promptOf(20, salt), { maxTokens: 40 })));
    const plain = fixture.open({ kvPages: 100 });
    expect(idsOf(await long)).toEqual(
      idsOf(await run(plain.engine, request(promptOf(300), { maxTokens: 60 }))),
    );
    await Promise.all(others);
    expect(draft.maxRows).toBeLessThanOrEqual(32);
    expect(draft.rows).toBeGreaterThan(300);
    const { steps } = draft;
    await run(engine, request(promptOf(40, 9), { maxTokens: 1 }));
    expect(draft.steps).toBe(steps);
  });

  it('loses nothing to preemption, nor to a cache of its own that is too small', async () => {
    const plain = fixture.open({ kvPages: 100 });
    const asked = [1, 2, 3, 4, 5].map((salt) => request(promptOf(9, salt), { maxTokens: 70 }));
    const wanted = await Promise.all(asked.map((body) => run(plain.engine, body)));
    for (const [kvPages, draftPages] of [
      [12, 64],
      [100, 3],
      [12, 7],
    ] as const) {
      const { engine, registry } = opened({ kvPages: draftPages }, { kvPages });
      const got = await Promise.all(asked.map((body) => run(engine, body)));
      expect(got.map(idsOf)).toEqual(wanted.map(idsOf));
      if (kvPages === 12) expect(valueOf(await registry.metrics(), 'preemptions_total')).toBeGreaterThan(0);
    }
  });

  it('takes nothing back from a request that goes away while it guesses', async () => {
    const { engine } = opened({ stepTurns: 3 });
    const controller = new AbortController();
    const events = await engine.generate(request(promptOf(5), { maxTokens: 200 }), controller.signal);
    for await (const event of events) if (event.type === 'tokens' && event.ids.length > 0) controller.abort();
    await expect.poll(() => engine.status().load.runningRequests).toBe(0);
  });

  it('is done without when it fails', async () => {
    const draft = draftOf();
    draft.failStep = 6;
    const { engine } = opened({}, { draft });
    const plain = fixture.open({ kvPages: 100 });
    const body = request(promptOf(5), { maxTokens: 60 });
    expect(idsOf(await run(engine, body))).toEqual(idsOf(await run(plain.engine, body)));
    expect(draft.steps).toBe(6);
    expect(idsOf(await run(engine, body))).toEqual(idsOf(await run(plain.engine, body)));
    expect(draft.steps).toBe(6);
  });

  it.each([
    ['fewer', 300],
    ['more', 900],
  ])('may have %s logits than the model', async (_, vocabSize) => {
    const draft = draftOf({ vocabSize });
    const { engine } = opened({}, { draft });
    const plain = fixture.open({ kvPages: 100 });
    for (const salt of [1, 2, 3]) {
      const body = request(promptOf(5, salt), {
        maxTokens: 40,
        sampling: { ...request([1]).sampling, logitBias: [{ token: 400, bias: -1 }] },
      });
      expect(idsOf(await run(engine, body))).toEqual(idsOf(await run(plain.engine, body)));
    }
  });

  it('guesses no further than it can read', async () => {
    const draft = draftOf({ maxPositions: 40 });
    const { engine } = opened({}, { draft });
    const plain = fixture.open({ kvPages: 100 });
    const body = request(promptOf(5), { maxTokens: 90 });
    expect(idsOf(await run(engine, body))).toEqual(idsOf(await run(plain.engine, body)));
    expect(draft.rows).toBeLessThan(60);
  });

  it('is used as the setting and the request say', async () => {
    const draft = draftOf();
    const { engine } = opened({}, { draft, speculation: 'ngram' });
    await run(engine, request(promptOf(5), { maxTokens: 20 }));
    expect(draft.steps).toBe(0);
    await run(engine, request(promptOf(5), { maxTokens: 20, speculation: { draft: { maxDraft: 2 } } }));
    expect(draft.steps).toBeGreaterThan(0);
    const { engine: without } = fixture.open();
    const body = request(promptOf(5), { maxTokens: 20, speculation: { draft: { maxDraft: 2 } } });
    expect(idsOf(await run(without, body))).toHaveLength(20);
  });

  it('takes expected tokens of the answer first, and guesses where the answer leaves them', async () => {
    const { engine, registry } = opened({ memoryTokens: 4 }, { memoryTokens: 4 });
    const body = request(promptOf(5), { maxTokens: 40 });
    const ids = idsOf(await run(engine, { ...body, speculation: {} }));
    const { text } = await engine.detokenize({ tokens: ids.slice(0, 10) });
    const got = await run(engine, { ...body, prediction: text });
    expect(idsOf(got)).toEqual(ids);
    expect(valueOf(await registry.metrics(), 'adapter_drafted_tokens_total', 'kind="draft"')).toBeGreaterThan(
      0,
    );
  });

  it('shows its memory and pages', async () => {
    const { engine, registry } = opened();
    expect(engine.status().draft).toEqual({
      name: 'draft',
      kv: { pages: 64, freePages: 64, pageTokens: 16 },
      memory: { weightBytes: 1000, kvBytes: 200, scratchBytes: 30 },
    });
    const metrics = await registry.metrics();
    expect(metrics).toContain('memory_bytes{part="draft_weights"} 1000');
    expect(metrics).toContain('draft_kv_pages 64');
    expect(fixture.open().engine.status()).not.toHaveProperty('draft');
  });

  it('guesses where that was measured to pay, and not where it was measured not to', async () => {
    const measured = { draftPolicy: undefined, stepTime_ms: () => 10_000 };
    const cheap = draftOf({ stepTime_ms: () => 1_000 });
    const { engine, native } = opened({}, { ...measured, draft: cheap });
    await run(engine, request(promptOf(5), { maxTokens: 120 }));
    expect(native.steps).toBeLessThan(60);
    const dear = draftOf({ stepTime_ms: () => 12_000 });
    const other = opened({}, { ...measured, draft: dear });
    await run(other.engine, request(promptOf(5), { maxTokens: 120 }));
    expect(dear.steps).toBeLessThan(4);
  });

  it('guesses for answers with a structure too, which stay as they are', async () => {
    const structured = [0, 1, 2, 3].map((i) => {
      const wish = { kind: 'regex', pattern: i % 2 === 0 ? '[^q]{1,60}' : '[a-z]{40}' } as const;
      const body = request(promptOf(9, i), { maxTokens: 50, structure: { wish, field: 'guided' } });
      return { ...body, sampling: { ...body.sampling, ...(i > 1 ? { temperature: 1, seed: i } : {}) } };
    });
    const plain = fixture.open({ kvPages: 100 });
    const wanted = await Promise.all(structured.map((body) => run(plain.engine, body)));
    const { engine, registry } = opened();
    const got = await Promise.all(structured.map((body) => run(engine, body)));
    expect(got.map(answerOf)).toEqual(wanted.map(answerOf));
    expect(valueOf(await registry.metrics(), 'speculation_accepted_tokens_total')).toBeGreaterThan(10);
  });
});
