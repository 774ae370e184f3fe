import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { ManifestModule } from '#contracts/adapter-manifest.js';
import type { GenerateEvent, GenerateRequest } from '#contracts/engine-protocol.js';
import { scaledHandle } from '../../../../test/support/fake-native.js';
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

const tensor = { name: 't', dtype: 'F32' as const, shape: [10], begin: 0, end: 40 };

async function run(
  { engine }: OpenedEngine,
  tokens: readonly number[],
  overrides: Partial<GenerateRequest> = {},
): Promise<GenerateEvent[]> {
  const request = generateRequest({ kind: 'tokens', tokens: [...tokens] }, overrides);
  return collect(await engine.generate(request, new AbortController().signal));
}

describe("an adapter's scale", () => {
  it('is of its request alone, many of them in one step with one adapter', async () => {
    const opened = fixture.open({ maxStepTokens: 256 });
    const adapter = fixture.digests[0] ?? '';
    await run(opened, promptOf(4), { adapter });
    const [handle = 0] = opened.native.adapters.keys();
    const scales = [1, 0.5, 0, undefined, -2, 0.5, 10, 2.125];
    const { steps } = opened.native;
    const answers = await Promise.all(
      scales.map((adapterScale, i) => run(opened, promptOf(20, i + 1), { adapter, adapterScale })),
    );
    for (const [i, answer] of answers.entries()) {
      const scale = scales[i] ?? 1;
      const expected = expectedIds(scale === 0 ? 0 : scaledHandle(handle, scale), promptOf(20, i + 1), 20);
      expect(idsOf(answer), `scale ${scale}`).toEqual(expected);
    }
    expect(opened.native.steps - steps).toBeLessThan(30);
    expect(opened.engine.status().adapters.resident).toHaveLength(1);
  });

  it('keeps the cached beginnings of two scales apart, and finds those of the same', async () => {
    const opened = fixture.open();
    const adapter = fixture.digests[0] ?? '';
    const cached = async (overrides: Partial<GenerateRequest>) =>
      finishOf(await run(opened, promptOf(40), overrides))?.usage.cachedTokens;
    expect(await cached({ adapter })).toBe(0);
    expect(await cached({ adapter, adapterScale: 0.5 })).toBe(0);
    expect(await cached({ adapter, adapterScale: 0 })).toBe(0);
    expect(await cached({})).toBe(0);
    expect(await cached({ adapter, adapterScale: 0.5 })).toBeGreaterThanOrEqual(32);
    expect(await cached({ adapter, adapterScale: 1 })).toBeGreaterThanOrEqual(32);
    opened.engine.dropAdapter(adapter);
    expect(await cached({ adapter, adapterScale: 0.5 })).toBe(0);
  });

  it.each<[string, Partial<ManifestModule>]>([
    ['is trained with DoRA', { magnitude: tensor }],
    ['replaces whole weights', { weight: tensor }],
    ['replaces biases', { bias: tensor }],
    ['replaces rows of tokens', { tokenRows: { indices: [1], rows: tensor } }],
  ])('is refused of an adapter that %s', async (what, change) => {
    const opened = fixture.open();
    const { modules, ...manifest } = manifestOf(9, await putText(fixture.blobs, what));
    const [module] = modules;
    const changed = { ...manifest, modules: [module, { ...module, module: 'other', ...change }] };
    const adapter = (await putText(fixture.blobs, JSON.stringify(changed))).sha256;
    await expect(run(opened, promptOf(4), { adapter, adapterScale: 0.5 })).rejects.toMatchObject({
      code: 'invalid_request',
      message: expect.stringMatching(new RegExp(`^lora_scale: .*${what}.*\\(other\\)$`)),
      details: { param: 'lora_scale' },
    });
    expect(idsOf(await run(opened, promptOf(4), { adapter, adapterScale: 1 }))).toHaveLength(20);
  });

  it('is refused of the base model', async () => {
    const opened = fixture.open();
    await expect(run(opened, promptOf(4), { adapterScale: 0.5 })).rejects.toMatchObject({
      message: 'lora_scale: the base model has no adapter to scale',
    });
  });
});
