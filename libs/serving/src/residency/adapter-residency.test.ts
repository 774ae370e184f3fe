import { setImmediate as nextTick } from 'node:timers/promises';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { AdapterManifest } from '#contracts/adapter-manifest.js';
import type { AdapterSpec, LoadedAdapter } from '#native-engine/native.js';
import { type AdapterLease, AdapterResidency, estimateBytes } from './adapter-residency.js';

/** An adapter of `bytes` bytes on the device, a multiple of 8. */
function manifest(bytes: number): AdapterManifest {
  const tensor = (name: string) => ({
    name,
    dtype: 'F32' as const,
    shape: [1, bytes / 8],
    begin: 0,
    end: bytes / 2,
  });
  return {
    format: 'lorikeet.adapter.v1',
    base: 'base',
    weights: { sha256: 'w', bytes },
    modules: [{ module: 'm', lora: { rank: 1, scale: 1, a: tensor('a'), b: tensor('b') } }],
  };
}

class FakeDevice {
  readonly loaded = new Map<number, number>();
  loads = 0;
  drops = 0;
  failNext: string | undefined;
  /** Loads that find no memory as long as more than so many adapters are there. */
  roomFor = Infinity;
  #next = 1;

  async loadAdapter(spec: AdapterSpec): Promise<LoadedAdapter> {
    this.loads++;
    const failure = this.failNext;
    this.failNext = undefined;
    await nextTick();
    if (failure !== undefined) throw new Error(failure);
    if (this.loaded.size >= this.roomFor) {
      throw Object.assign(new Error('out of memory for an adapter'), { kind: 'out_of_memory' });
    }
    const handle = this.#next++;
    const bytes = estimateBytes({ ...manifest(8), modules: spec.modules });
    this.loaded.set(handle, bytes);
    return { handle, bytes };
  }

  dropAdapter(handle: number): void {
    if (!this.loaded.delete(handle)) throw new Error(`no adapter ${handle}`);
    this.drops++;
  }

  get bytes(): number {
    return [...this.loaded.values()].reduce((sum, bytes) => sum + bytes, 0);
  }
}

function residency(
  limitBytes: number,
  verify: () => Promise<void> = async () => {},
): { device: FakeDevice; adapters: AdapterResidency } {
  const device = new FakeDevice();
  const weights = async (_: string, { modules }: AdapterManifest) => ({
    spec: { weightsPath: '/weights', modules },
    verified: verify(),
  });
  const adapters = new AdapterResidency({ device, limitBytes, weights });
  return { device, adapters };
}

const settled = async (promise: Promise<unknown>): Promise<boolean> => {
  let done = false;
  promise.then(
    () => (done = true),
    () => (done = true),
  );
  for (let i = 0; i < 5; i++) await nextTick();
  return done;
};

describe('adapter residency', () => {
  it('loads an adapter once for all requests that ask for it at the same time', async () => {
    const { device, adapters } = residency(1000);
    const leases = await Promise.all([1, 2, 3].map(() => adapters.acquire('a', manifest(80))));
    expect(device.loads).toBe(1);
    expect(new Set(leases.map((lease) => lease.handle)).size).toBe(1);
    expect(adapters.resident()).toEqual([{ digest: 'a', bytes: 80, requests: 3 }]);
  });

  it('loads while the file is verified, and lends nothing before that is over', async () => {
    let verified = (): void => {};
    const { device, adapters } = residency(1000, () => new Promise((resolve) => (verified = resolve)));
    const lease = adapters.acquire('a', manifest(80));
    expect(await settled(lease)).toBe(false);
    expect(device.loaded.size).toBe(1);
    verified();
    expect((await lease).handle).toBe(1);
  });

  it('takes weights that turn out to be damaged off the device, whatever the load said', async () => {
    for (const failNext of [undefined, 'a shape does not fit']) {
      const { device, adapters } = residency(1000, () => Promise.reject(new Error('damaged')));
      device.failNext = failNext;
      await expect(adapters.acquire('a', manifest(80))).rejects.toThrow('damaged');
      expect(device.loaded.size).toBe(0);
      expect(adapters.bytes).toBe(0);
      expect(adapters.isResident('a')).toBe(false);
    }
  });

  it('evicts the least recently used adapter that nobody uses', async () => {
    const { adapters } = residency(240);
    for (const digest of ['a', 'b', 'c']) (await adapters.acquire(digest, manifest(80))).release();
    (await adapters.acquire('a', manifest(80))).release();
    await adapters.acquire('d', manifest(80));
    expect(adapters.resident().map((entry) => entry.digest)).toEqual(['c', 'a', 'd']); // as they would go
    expect(adapters.bytes).toBe(240);
  });

  it('evicts those of a tenant with more than its part first, however recently it used them', async () => {
    const { adapters } = residency(480);
    const use = async (key: string, digest: string): Promise<void> => {
      (await adapters.acquire(digest, manifest(80), undefined, { key, weight: 1 })).release();
    };
    for (const digest of ['mine', 'mine-too']) await use('modest', digest);
    for (let i = 0; i < 20; i++) await use('flood', `flood-${i}`);
    const digests = adapters.resident().map(({ digest }) => digest);
    expect(digests.sort()).toEqual(['flood-16', 'flood-17', 'flood-18', 'flood-19', 'mine', 'mine-too']);
    // A tenant that comes later gets its part as well.
    for (const digest of ['new', 'new-too']) await use('late', digest);
    expect(['mine', 'mine-too', 'new', 'new-too'].every((digest) => adapters.isResident(digest))).toBe(true);
  });

  it('gives a tenant more room by its weight', async () => {
    const { adapters } = residency(400);
    const use = async (key: string, weight: number, digest: string): Promise<void> => {
      (await adapters.acquire(digest, manifest(80), undefined, { key, weight })).release();
    };
    for (let i = 0; i < 5; i++) await use('heavy', 4, `heavy-${i}`);
    for (let i = 0; i < 5; i++) await use('light', 1, `light-${i}`);
    const digests = adapters.resident().map(({ digest }) => digest);
    expect(digests.filter((digest) => digest.startsWith('heavy'))).toHaveLength(4);
  });

  it('never evicts an adapter in use: the next one waits for it, in order', async () => {
    const { device, adapters } = residency(160);
    const a = await adapters.acquire('a', manifest(80));
    const b = await adapters.acquire('b', manifest(80));
    const c = adapters.acquire('c', manifest(80));
    const d = adapters.acquire('d', manifest(80));
    expect(await settled(c)).toBe(false);
    b.release();
    expect(await settled(c)).toBe(true);
    expect(await settled(d)).toBe(false);
    a.release();
    await d;
    expect(device.bytes).toBe(160);
  });

  it('lets a waiting adapter in although requests for resident ones keep coming', async () => {
    const { adapters } = residency(80);
    let a: AdapterLease = await adapters.acquire('a', manifest(80));
    const b = adapters.acquire('b', manifest(80));
    expect(await settled(b)).toBe(false);
    const another = adapters.acquire('a', manifest(80)); // must wait behind b
    expect(await settled(another)).toBe(false);
    a.release();
    (await b).release();
    a = await another;
    a.release();
    expect(adapters.resident().map((entry) => entry.digest)).toEqual(['a']);
  });

  it('fails only the requests of the adapter that could not be loaded, and loads it again when asked again', async () => {
    const { device, adapters } = residency(1000);
    device.failNext = 'layer 3 does not fit';
    const bad = Promise.allSettled([
      adapters.acquire('bad', manifest(80)),
      adapters.acquire('bad', manifest(80)),
    ]);
    const good = await adapters.acquire('good', manifest(80));
    const outcomes = await bad;
    expect(outcomes.map((outcome) => outcome.status)).toEqual(['rejected', 'rejected']);
    expect((outcomes[0] as PromiseRejectedResult).reason).toMatchObject({
      code: 'adapter_rejected',
      message: 'The adapter could not be loaded: layer 3 does not fit',
    });
    expect(adapters.bytes).toBe(80);
    good.release();
    (await adapters.acquire('bad', manifest(80))).release();
    expect(device.loads).toBe(3);
  });

  it('takes idle adapters off a device that has less memory than it may use, oldest first', async () => {
    const { device, adapters } = residency(1000);
    device.roomFor = 2;
    for (const digest of ['a', 'b', 'c']) (await adapters.acquire(digest, manifest(80))).release();
    expect(adapters.resident().map(({ digest }) => digest)).toEqual(['b', 'c']);
    expect(adapters.bytes).toBe(160);
    expect(device.bytes).toBe(160);
  });

  it('calls a load that finds no memory a matter of the engine, and loads it once there is some', async () => {
    const { device, adapters } = residency(1000);
    device.roomFor = 1;
    const first = await adapters.acquire('a', manifest(80));
    await expect(adapters.acquire('b', manifest(80))).rejects.toMatchObject({
      code: 'engine_unavailable',
      details: { retryAfter_s: expect.any(Number) as number },
    });
    expect(adapters.bytes).toBe(80);
    first.release();
    (await adapters.acquire('b', manifest(80))).release();
    expect(adapters.resident().map(({ digest }) => digest)).toEqual(['b']);
  });

  it('refuses an adapter that is larger than the whole budget, and goes on', async () => {
    const { device, adapters } = residency(100);
    await expect(adapters.acquire('huge', manifest(800))).rejects.toMatchObject({ code: 'adapter_rejected' });
    expect(device.bytes).toBe(0);
    expect(adapters.bytes).toBe(0);
    (await adapters.acquire('a', manifest(80))).release();
  });

  it('frees a dropped adapter when its last request ends', async () => {
    const { device, adapters } = residency(1000);
    const first = await adapters.acquire('a', manifest(80));
    const second = await adapters.acquire('a', manifest(80));
    adapters.drop('a');
    first.release();
    expect(device.bytes).toBe(80);
    second.release();
    second.release(); // twice is once
    expect(device.bytes).toBe(0);
    expect(adapters.bytes).toBe(0);
    expect(adapters.resident()).toEqual([]);
  });

  it('forgets a request that goes away while it waits', async () => {
    const { device, adapters } = residency(80);
    const a = await adapters.acquire('a', manifest(80));
    const controller = new AbortController();
    const b = adapters.acquire('b', manifest(80), controller.signal);
    const c = adapters.acquire('c', manifest(80));
    controller.abort(new Error('gone'));
    await expect(b).rejects.toThrow('gone');
    a.release();
    (await c).release();
    expect(device.loads).toBe(2);
  });

  it('serves every request whatever comes, within the budget, and has nothing pinned at the end', async () => {
    const use = fc.record({
      adapter: fc.integer({ min: 0, max: 6 }),
      heldTicks: fc.integer({ min: 0, max: 4 }),
      aborts: fc.boolean(),
      drops: fc.integer({ min: 0, max: 9 }),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(use, { maxLength: 30 }), async (uses) => {
        const { device, adapters } = residency(200);
        const served = uses.map(async ({ adapter, heldTicks, aborts, drops }, i) => {
          const controller = new AbortController();
          for (let tick = 0; tick < i % 4; tick++) await nextTick();
          const acquired = adapters.acquire(`a${adapter}`, manifest(40 + 8 * adapter), controller.signal);
          if (aborts) controller.abort(new Error('gone'));
          if (drops === 0) adapters.drop(`a${adapter}`);
          const lease = await acquired;
          expect(device.loaded.has(lease.handle)).toBe(true);
          for (let tick = 0; tick < heldTicks; tick++) await nextTick();
          expect(device.loaded.has(lease.handle)).toBe(true);
          expect(device.bytes).toBeLessThanOrEqual(200);
          lease.release();
        });
        const outcomes = await Promise.allSettled(served);
        const stayed = outcomes.filter((_, i) => !uses[i]?.aborts);
        expect(stayed.every((outcome) => outcome.status === 'fulfilled')).toBe(true);
        for (let i = 0; i < 3; i++) await nextTick();
        expect(adapters.bytes).toBe(device.bytes);
        expect(adapters.resident().every((entry) => entry.requests === 0)).toBe(true);
        for (const { digest } of adapters.resident()) adapters.drop(digest);
        expect(adapters.bytes).toBe(0);
        expect(device.loaded.size).toBe(0);
      }),
      { numRuns: 60 },
    );
  });
});
