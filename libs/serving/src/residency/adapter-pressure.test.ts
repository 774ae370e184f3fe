import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { BlobStore } from '#stores/blobs/blob-store.js';
import { generateRequest, idsOf } from '../../../../test/support/generate-request.js';
import {
  collect,
  expectedIds,
  manifestOf,
  promptOf,
  ServingFixture,
} from '../../../../test/support/serving-fixture.js';

const REGISTERED = 1_000;
const RESIDENT = 64;

let fixture: ServingFixture;
let folder: string;
beforeAll(async () => {
  fixture = await ServingFixture.make();
  folder = mkdtempSync(join(tmpdir(), 'lorikeet-pressure-'));
});
afterEach(() => fixture.closeAll());
afterAll(() => {
  fixture.remove();
  rmSync(folder, { recursive: true, force: true });
});

/** A store of many manifests that all name the same few bytes of weights. */
function makeStore(): { blobs: BlobStore; digests: string[] } {
  const sha256Of = (bytes: string): string => createHash('sha256').update(bytes).digest('hex');
  const weights = { sha256: sha256Of('weights'), bytes: 7 };
  writeFileSync(join(folder, weights.sha256), 'weights');
  const manifests = new Map(
    Array.from({ length: REGISTERED }, (_, n) => {
      const text = JSON.stringify(manifestOf(n + 1, weights));
      return [sha256Of(text), Buffer.from(text)] as const;
    }),
  );
  const blobs: Pick<BlobStore, 'stat' | 'read' | 'localPath'> = {
    stat: async (sha256) => ({ sha256, bytes: manifests.get(sha256)?.length ?? weights.bytes }),
    read: async (sha256) => manifests.get(sha256) ?? Buffer.from(''),
    localPath: async (sha256) => join(folder, sha256),
  };
  return { blobs: blobs as BlobStore, digests: [...manifests.keys()] };
}

/** Ranks drawn with probability ~ 1 / rank^1.5, the same in every run. */
function zipfRanks(count: number): number[] {
  const weights = Array.from({ length: REGISTERED }, (_, i) => (i + 1) ** -1.5);
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  let state = 12345;
  return Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    let left = (state / 2 ** 32) * total;
    return weights.findIndex((weight) => (left -= weight) < 0);
  });
}

describe('a thousand adapters with room for 64', () => {
  it('serves them all while a base request advances in every step, and frees everything after', async () => {
    const { blobs, digests } = makeStore();
    const { engine, native, registry } = fixture.open(
      {
        adapterCacheBytes: RESIDENT * 80,
        hostAdapterCacheBytes: 7 * 500,
        maxSequences: 16,
        maxStepTokens: 256,
        maxQueuedRequests: 2_000,
        kvPages: 256,
        maxPositions: 1_000,
        loadTurns: 10,
      },
      blobs,
    );
    const run = async (tokens: number[], maxTokens: number, adapter?: string) => {
      const scope = adapter === undefined ? { fairnessKey: 'base' } : { adapter, fairnessKey: adapter };
      const body = generateRequest({ kind: 'tokens', tokens }, { maxTokens, ...scope });
      return collect(await engine.generate(body, new AbortController().signal));
    };
    const steady = run(promptOf(10), 500);
    const ranks = [...zipfRanks(500), ...Array.from({ length: 100 }, (_, i) => i * 10)];
    const answers = await Promise.all(ranks.map((rank, i) => run(promptOf(8, i), 6, digests[rank])));
    expect(answers.every((events) => events.at(-1)?.type === 'finish')).toBe(true);
    expect(idsOf(await steady)).toEqual(expectedIds(0, promptOf(10), 500));
    const [first = 0, last = 0] = [native.baseSteps[0], native.baseSteps.at(-1)];
    expect(last - first).toBeLessThanOrEqual(500 + 5); // it never missed a step for an adapter that was loading
    expect(native.adapters.size).toBeLessThanOrEqual(RESIDENT);
    const loads = await registry.getSingleMetric('lorikeet_engine_adapter_loads_total')?.get();
    // Requests of one adapter run together: fewer loads than the adapters, each loaded a second time, would take.
    expect(loads?.values[0]?.value).toBeLessThan(2 * new Set(ranks).size);
    for (const digest of digests) engine.dropAdapter(digest);
    expect(engine.status().adapters).toMatchObject({ bytes: 0, hostBytes: 0, resident: [] });
    expect(native.adapters.size).toBe(0);
  }, 60_000);
});
