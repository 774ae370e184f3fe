import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { GenerateEvent, GenerateRequest } from '#contracts/engine-protocol.js';
import { AppError } from '#runtime/app-error.js';
import { fakeHidden } from '../../../../test/support/fake-native.js';
import { generateRequest, idsOf } from '../../../../test/support/generate-request.js';
import { collect, promptOf, ServingFixture } from '../../../../test/support/serving-fixture.js';
import type { Pooling } from '../pooling.js';
import type { InferenceEngine } from './inference-engine.js';

const HIDDEN = 8;

let fixture: ServingFixture;
beforeAll(async () => {
  fixture = await ServingFixture.make();
});
afterEach(() => fixture.closeAll());
afterAll(() => fixture.remove());

const asked = (tokens: readonly number[], overrides: Partial<GenerateRequest> = {}): GenerateRequest =>
  generateRequest({ kind: 'tokens', tokens: [...tokens] }, { maxTokens: 0, embedding: true, ...overrides });

const run = async (engine: InferenceEngine, request: GenerateRequest, chunkTokens?: number) =>
  collect(await engine.generate(request, new AbortController().signal, chunkTokens));

function vectorOf(events: readonly GenerateEvent[]): Float32Array {
  const found = events.filter((event) => event.type === 'embedding');
  expect(found).toHaveLength(1);
  return new Float32Array(new Uint8Array(Buffer.from(found[0]?.values ?? '', 'base64')).buffer);
}

/** As a caller would pool them who had all hidden states at once. */
function expected({ kind, normalize }: Pooling, tokens: readonly number[]): Float32Array {
  const rows = tokens.map((_, i) => fakeHidden(tokens.slice(0, i + 1), HIDDEN));
  const wanted = kind === 'mean' ? rows : [kind === 'cls' ? rows[0] : rows.at(-1)];
  const mean = Float32Array.from(
    { length: HIDDEN },
    (_, i) => wanted.reduce((sum, row) => sum + (row?.[i] ?? 0), 0) / wanted.length,
  );
  if (!normalize) return mean;
  const length = Math.sqrt(mean.reduce((sum, value) => sum + value * value, 0));
  return mean.map((value) => value / length);
}

const POOLINGS: readonly Pooling[] = [
  { kind: 'last', normalize: true },
  { kind: 'mean', normalize: true },
  { kind: 'mean', normalize: false },
  { kind: 'cls', normalize: false },
];

describe.each(POOLINGS)('an embedding pooled by $kind, normalized: $normalize', (pooling) => {
  it('is the same alone, in chunks, beside generations and from the cache', async () => {
    const { engine } = fixture.open({ pooling });
    for (const length of [1, 2, 16, 17, 33, 90]) {
      const tokens = promptOf(length, 3);
      const want = expected(pooling, tokens);
      const first = await run(engine, asked(tokens));
      expect(vectorOf(first)).toEqual(want);
      expect(first.at(-1)).toMatchObject({
        type: 'finish',
        reason: 'stop',
        usage: { promptTokens: length, completionTokens: 0 },
      });
      expect(idsOf(first)).toEqual([]);
      for (const chunk of [1, 7, 16]) expect(vectorOf(await run(engine, asked(tokens), chunk))).toEqual(want);
      const [beside] = await Promise.all([
        run(engine, asked(tokens)),
        run(engine, generateRequest({ kind: 'tokens', tokens: promptOf(20, 5) })),
        run(engine, asked(promptOf(40, 6))),
      ]);
      expect(vectorOf(beside)).toEqual(want);
    }
  });

  it('is the same when others take its pages on the way', async () => {
    const { engine, native } = fixture.open({ pooling, kvPages: 14 });
    const lengths = [150, 120, 90, 140];
    const answers = await Promise.all(
      lengths.map((length, i) =>
        i % 2 === 0
          ? run(engine, asked(promptOf(length, i)), 16)
          : run(engine, generateRequest({ kind: 'tokens', tokens: promptOf(length, i) }, { maxTokens: 40 })),
      ),
    );
    for (const i of [0, 2]) {
      expect(vectorOf(answers[i] ?? [])).toEqual(expected(pooling, promptOf(lengths[i] ?? 0, i)));
    }
    expect(native.rows).toBeGreaterThan(500);
  });
});

describe('an embedding', () => {
  it('of hidden states that are not finite is an error', async () => {
    const { engine, native } = fixture.open();
    native.poisonToken = 9;
    const events = await run(engine, asked([5, 9]));
    expect(events.at(-1)).toMatchObject({ type: 'error', code: 'internal_error' });
  });

  it('is refused where the checkpoint pools in a way that is not known', async () => {
    const { engine } = fixture.open({ pooling: new AppError('invalid_request', { message: 'by max' }) });
    await expect(run(engine, asked([5]))).rejects.toThrow('by max');
    expect(idsOf(await run(engine, generateRequest({ kind: 'tokens', tokens: [5] })))).toHaveLength(20);
  });
});
