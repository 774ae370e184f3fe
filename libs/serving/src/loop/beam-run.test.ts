import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { GenerateEvent, GenerateRequest } from '#contracts/engine-protocol.js';
import { finishOf, generateRequest } from '../../../../test/support/generate-request.js';
import { collect, expectedIds, promptOf, ServingFixture } from '../../../../test/support/serving-fixture.js';
import { AppError } from '#runtime/app-error.js';
import { BeamSearch } from './beam-search.js';
import type { InferenceEngine } from './inference-engine.js';

let fixture: ServingFixture;
beforeAll(async () => {
  fixture = await ServingFixture.make();
});
afterEach(() => fixture.closeAll());
afterAll(() => fixture.remove());

const BEAM = { lengthPenalty: 1, earlyStopping: false } as const;
const request = (fields: Partial<GenerateRequest> = {}): GenerateRequest =>
  generateRequest(
    { kind: 'tokens', tokens: promptOf(40) },
    { beam: BEAM, n: 4, maxTokens: 6, ignoreEos: true, ...fields },
  );
const run = async (engine: InferenceEngine, body: GenerateRequest, signal = new AbortController().signal) =>
  collect(await engine.generate(body, signal));
const idsOf = (events: readonly GenerateEvent[], choice: number): number[] =>
  events.flatMap((event) => (event.type === 'tokens' && (event.choice ?? 0) === choice ? event.ids : []));

describe('a beam search in the engine', () => {
  it('computes one row for each beam and step behind the prompt', async () => {
    const { engine, native, registry } = fixture.open({ maxStepTokens: 64 });
    const events = await run(engine, request());
    expect(native.rows).toBe(40 + 5 * 4);
    const metrics = await registry.metrics();
    expect(metrics).toContain('requests_total{outcome="length"} 1');
    expect(metrics).toContain('lorikeet_engine_ttft_seconds_count 1');
    const finishes = events.filter((event) => event.type === 'finish');
    expect(finishes.map(({ choice, usage }) => [choice, usage.completionTokens])).toEqual(
      [0, 1, 2, 3].map((choice) => [choice, 6]),
    );
    // To the fake the likeliest token is always far likelier.
    expect(idsOf(events, 0)).toEqual(expectedIds(0, promptOf(40), 6));
    expect(new Set([0, 1, 2, 3].map((choice) => idsOf(events, choice).join())).size).toBe(4);
  });

  it('says what is said of the prompt once, and gives log-probabilities as asked', async () => {
    const { engine } = fixture.open();
    const events = await run(engine, request({ promptLogprobs: 0, logprobs: 2, returnPromptTokens: true }));
    expect(events.map(({ type }) => type).filter((type) => type === 'start' || type === 'prompt')).toEqual([
      'start',
      'prompt',
    ]);
    const scored = events.flatMap((event) => (event.type === 'tokens' ? (event.scored ?? []) : []));
    expect(scored).toHaveLength(24);
    expect(scored.every(({ top }) => top.length === 2)).toBe(true);
  });

  it('of one beam is the greedy answer', async () => {
    const { engine } = fixture.open();
    const events = await run(engine, request({ n: 1 }));
    expect(idsOf(events, 0)).toEqual(expectedIds(0, promptOf(40), 6));
    expect(finishOf(events)).toMatchObject({ reason: 'length' });
  });

  it('gives the same among others, with an adapter and where pages are scarce', async () => {
    const { engine } = fixture.open({ kvPages: 14 });
    const adapter = fixture.digests[0] ?? '';
    const alone = await run(engine, request({ adapter, cacheSalt: 'alone' }));
    const [together] = await Promise.all([
      run(engine, request({ adapter })),
      ...[1, 2, 3].map((salt) =>
        run(engine, generateRequest({ kind: 'tokens', tokens: promptOf(50, salt) }, { maxTokens: 40 })),
      ),
    ]);
    for (const choice of [0, 1, 2, 3]) expect(idsOf(together, choice)).toEqual(idsOf(alone, choice));
  });

  it('ends within a step when nobody waits for it any more, and holds nothing then', async () => {
    const { engine, native } = fixture.open();
    const controller = new AbortController();
    const running = run(engine, request({ maxTokens: 200 }), controller.signal);
    await expect.poll(() => native.steps, { interval: 1 }).toBeGreaterThan(20);
    controller.abort(new AppError('client_closed_request'));
    await expect(running).resolves.toContainEqual(expect.objectContaining({ type: 'error' }));
    await expect.poll(() => engine.status().load.waitingRequests).toBe(0);
  });

  it('fails with the engine that stops', async () => {
    const { engine, native } = fixture.open();
    const running = run(engine, request({ maxTokens: 200 }));
    await expect.poll(() => native.steps, { interval: 1 }).toBeGreaterThan(20);
    await engine.close(0);
    expect(await running).toContainEqual(
      expect.objectContaining({ type: 'error', code: 'engine_unavailable' }),
    );
  });

  it('fails once with a step that fails', async () => {
    const { engine, native } = fixture.open();
    native.failStep = 5;
    const events = await run(engine, request());
    expect(events.filter(({ type }) => type === 'error')).toHaveLength(1);
  });

  it('refuses more beams than it can rank, and calls of tools that must come', async () => {
    const { engine } = fixture.open();
    const stopTokenIds = Array.from({ length: 17 }, (_, i) => 20 + i);
    await expect(run(engine, request({ stopTokenIds }))).rejects.toMatchObject({
      code: 'invalid_request',
      details: { param: 'n' },
    });
    const tool = { name: 'now', schema: {}, field: 'tools[0]', strict: false };
    const calls = { tools: [tool], required: true, parallel: true };
    await expect(run(engine, request({ calls }))).rejects.toMatchObject({
      details: { param: 'use_beam_search' },
    });
  });
});

describe('the rules of beam search', () => {
  const options = { width: 2, lengthPenalty: 1, maxTokens: 5, minTokens: 0, endings: new Set([9]) };
  const choice = (id: number, logprob: number) => ({ id, logprob, text: '', bytes: [] });
  const advance = (search: BeamSearch, next: ReturnType<typeof choice>[]) =>
    search.advance((search.beams.length === 0 ? [undefined] : search.beams).map((beam) => ({ beam, next })));

  it('count an ending only among the likeliest', () => {
    const search = new BeamSearch({ ...options, earlyStopping: false });
    advance(search, [choice(1, -1), choice(2, -2), choice(9, -3)]);
    expect(search.found).toEqual([]);
    advance(search, [choice(9, -0.1), choice(3, -1), choice(4, -2)]);
    expect(search.found.map(({ beam }) => beam.sum)).toEqual([-1.1]);
    expect(search.beams.map(({ sum }) => sum)).toEqual([-2, -3]);
  });

  it.each([
    [true, true],
    [false, true],
    ['never' as const, false],
  ])('stop early as %s says', (earlyStopping, isOver) => {
    const search = new BeamSearch({ ...options, earlyStopping, lengthPenalty: 2 });
    advance(search, [choice(1, -1), choice(9, -1.1), choice(2, -1.2)]);
    advance(search, [choice(9, -0.1), choice(3, -5), choice(4, -6)]);
    expect(search.found).toHaveLength(2);
    expect(search.isOver).toBe(isOver);
  });
});
