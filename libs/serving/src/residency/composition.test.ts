import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { GenerateEvent, GenerateRequest } from '#contracts/engine-protocol.js';
import { compositionDigest } from '#runtime/composition-digest.js';
import { finishOf, generateRequest, idsOf } from '../../../../test/support/generate-request.js';
import {
  collect,
  expectedIds,
  manifestOf,
  type OpenedEngine,
  promptOf,
  putText,
  ServingFixture,
} from '../../../../test/support/serving-fixture.js';

let fixture: ServingFixture;
beforeAll(async () => {
  fixture = await ServingFixture.make();
});
afterEach(() => fixture.closeAll());
afterAll(() => fixture.remove());

async function run(
  { engine }: OpenedEngine,
  tokens: readonly number[],
  overrides: Partial<GenerateRequest> = {},
): Promise<GenerateEvent[]> {
  const request = generateRequest({ kind: 'tokens', tokens: [...tokens] }, overrides);
  return collect(await engine.generate(request, new AbortController().signal));
}

/** The fixture's adapters with these numbers, from 1, each times its weight. */
function sumOf(...numbers: (number | [number, number])[]) {
  const composition = numbers.map((part) => {
    const [n, weight] = typeof part === 'number' ? [part, 1] : part;
    return { digest: fixture.digests[n - 1] ?? '', weight };
  });
  return { adapter: compositionDigest(composition), composition };
}

const cachedOf = (events: readonly GenerateEvent[]) => finishOf(events)?.usage.cachedTokens;

describe('adapters that answer together', () => {
  it('are one resident adapter of the size of both, in the order of their digests, beside each alone', async () => {
    const opened = fixture.open();
    const { engine, native } = opened;
    const both = sumOf([1, 0.7], [2, 0.3]);
    const alone = { adapter: fixture.digests[0] ?? '' };
    const answers = await Promise.all(
      [both, alone, {}, { ...both, composition: both.composition.toReversed() }].map((asked) =>
        run(opened, promptOf(20), asked),
      ),
    );
    const handles = new Map([...native.adapters].map(([handle, { modules }]) => [modules.length, handle]));
    const [ofBoth = 0, ofOne = 0] = [handles.get(2), handles.get(1)];
    expect(answers.map(idsOf)).toEqual(
      [ofBoth, ofOne, 0, ofBoth].map((handle) => expectedIds(handle, promptOf(20), 20)),
    );
    const weights = [...both.composition].sort((a, b) => (a.digest < b.digest ? -1 : 1));
    expect(native.adapters.get(ofBoth)?.weightsPath.split('+').map(Number.parseFloat)).toEqual(
      weights.map(({ weight }) => weight),
    );
    expect(engine.status().adapters.resident).toEqual(
      expect.arrayContaining([
        { digest: both.adapter, bytes: 160, requests: 0 },
        { digest: alone.adapter, bytes: 80, requests: 0 },
      ]),
    );
    expect(engine.status().adapters.bytes).toBe(240);
  });

  it('have cached beginnings of their own, which other weights, scales and members do not find', async () => {
    const opened = fixture.open();
    const both = sumOf(1, 2);
    expect(cachedOf(await run(opened, promptOf(40), both))).toBe(0);
    expect(cachedOf(await run(opened, promptOf(40), sumOf(2, 1)))).toBeGreaterThanOrEqual(32);
    for (const other of [sumOf([1, 0.5], 2), sumOf(1, 2, 3), { adapter: fixture.digests[0] ?? '' }, {}])
      expect(cachedOf(await run(opened, promptOf(40), other))).toBe(0);
    expect(cachedOf(await run(opened, promptOf(40), { ...both, adapterScale: 0.5 }))).toBe(0);
  });

  it('go from the device and from the cache when one of them is dropped', async () => {
    const opened = fixture.open();
    const { engine } = opened;
    await run(opened, promptOf(40), sumOf(1, 2));
    await run(opened, promptOf(40), sumOf(3, 4));
    engine.dropAdapter(fixture.digests[1] ?? '');
    expect(engine.status().adapters.resident.map(({ digest }) => digest)).toEqual([sumOf(3, 4).adapter]);
    expect(cachedOf(await run(opened, promptOf(40), sumOf(1, 2)))).toBe(0);
    expect(cachedOf(await run(opened, promptOf(40), sumOf(3, 4)))).toBeGreaterThanOrEqual(32);
  });

  it('wait for room as one, and make room for others', async () => {
    const opened = fixture.open({ adapterCacheBytes: 200 });
    const asked = [sumOf(1, 2), sumOf(3, 4), { adapter: fixture.digests[4] ?? '' }, sumOf(2, 5)];
    const answers = await Promise.all(asked.map((each, i) => run(opened, promptOf(12, i + 1), each)));
    expect(answers.map((answer) => idsOf(answer).length)).toEqual([20, 20, 20, 20]);
    expect(opened.engine.status().adapters.bytes).toBeLessThanOrEqual(200);
  });

  it('have the chat template and the defaults of the one that is named first', async () => {
    const opened = fixture.open();
    const weights = await putText(fixture.blobs, 'weights of one with defaults');
    const manifest = { ...manifestOf(6, weights), generation: { maxTokens: 3 } };
    const digest = (await putText(fixture.blobs, JSON.stringify(manifest))).sha256;
    const parts = [{ digest, weight: 1 }, ...sumOf(1).composition];
    const adapter = compositionDigest(parts);
    const defaulted = ['maxTokens' as const];
    const first = await run(opened, promptOf(9), { adapter, composition: parts, defaulted });
    const other = await run(opened, promptOf(9), { adapter, composition: parts.toReversed(), defaulted });
    expect([idsOf(first).length, idsOf(other).length]).toEqual([3, 20]);
  });

  it('are refused where they have no sum, or are not what they say', async () => {
    const opened = fixture.open();
    const [tensor] = manifestOf(1, { sha256: '', bytes: 1 }).modules.map(({ lora }) => lora?.a);
    const manifest = manifestOf(7, await putText(fixture.blobs, 'weights of a DoRA'));
    const modules = manifest.modules.map((module) => ({ ...module, magnitude: tensor }));
    const dora = (await putText(fixture.blobs, JSON.stringify({ ...manifest, modules }))).sha256;
    const withDora = [...sumOf(1).composition, { digest: dora, weight: 1 }];
    const refusal = (message: string) => ({ code: 'invalid_request', message, details: { param: 'model' } });
    await expect(
      run(opened, [5], { adapter: compositionDigest(withDora), composition: withDora }),
    ).rejects.toMatchObject(
      refusal(
        'model: only low-rank deltas can be added up, and adapter 2 of 2 is trained with DoRA, whose norm holds the delta (m)',
      ),
    );
    await expect(run(opened, [5], sumOf(1, 1))).rejects.toMatchObject(
      refusal('model: one of the adapters is named twice'),
    );
    await expect(run(opened, [5], { ...sumOf(1, 2), adapter: sumOf(1, 3).adapter })).rejects.toMatchObject(
      refusal('model: the digest is of another composition'),
    );
    const unknown = [...sumOf(1).composition, { digest: 'f'.repeat(64), weight: 1 }];
    await expect(
      run(opened, [5], { adapter: compositionDigest(unknown), composition: unknown }),
    ).rejects.toMatchObject({ code: 'model_not_found' });
  });
});
