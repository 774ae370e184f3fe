import { readFile } from 'node:fs/promises';
import { Registry } from 'prom-client';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { Parity } from '#contracts/parity.js';
import type { NativeErrorKind } from '#native-engine/native-error.js';
import { type OpenedEngine, ServingFixture } from '../../../../test/support/serving-fixture.js';
import { ParityCheck } from './parity-check.js';

let fixture: ServingFixture;
beforeAll(async () => {
  fixture = await ServingFixture.make();
});
afterEach(() => fixture.closeAll());
afterAll(() => fixture.remove());

/** A check whose second model cannot be opened. */
async function check(opened: OpenedEngine, kind: NativeErrorKind): Promise<Parity> {
  const { engine, model } = opened;
  const settings = {
    modelPath: 'none',
    quantization: 'none',
    kvCacheDtype: 'auto',
    adapterDtype: 'auto',
  } as const;
  const openNative = () => Promise.reject(Object.assign(new Error('cannot be opened'), { kind }));
  const registry = new Registry();
  const parity = new ParityCheck({ engine, model, settings, openNative, blobs: fixture.blobs, registry });
  const adapter = fixture.digests[0] ?? '';
  const weights = await weightsOf(adapter);
  try {
    return await parity.run({ adapter, weights, changes: [] }, new AbortController().signal);
  } finally {
    // Those of its requests that had not failed yet are called off.
    await expect
      .poll(() => engine.status().load, { interval: 1 })
      .toMatchObject({
        runningRequests: 0,
        waitingRequests: 0,
      });
  }
}

async function weightsOf(adapter: string): Promise<string> {
  const manifest = JSON.parse(await readFile(await fixture.blobs.localPath(adapter), 'utf8')) as {
    weights: { sha256: string };
  };
  return manifest.weights.sha256;
}

describe('a parity check that cannot be done', () => {
  it('comes again when the engine has no memory for the second model', async () => {
    await expect(check(fixture.open(), 'out_of_memory')).rejects.toMatchObject({
      code: 'engine_unavailable',
    });
  });

  it('comes again when the engine has no memory for the adapter that it serves', async () => {
    const opened = fixture.open();
    Object.assign(opened.native, { failLoad: 'no memory', failKind: 'out_of_memory' });
    await expect(check(opened, 'invalid')).rejects.toMatchObject({ code: 'engine_unavailable' });
  });

  it('comes again when a step runs out of memory', async () => {
    const opened = fixture.open();
    Object.assign(opened.native, { failStep: 2, failKind: 'out_of_memory' });
    await expect(check(opened, 'invalid')).rejects.toMatchObject({ code: 'engine_unavailable' });
  });

  it('gives no verdict when a step fails for another reason', async () => {
    const opened = fixture.open();
    Object.assign(opened.native, { failStep: 2 });
    await expect(check(opened, 'invalid')).rejects.toThrow('failed while it computed');
  });

  it('speaks against an adapter that cannot be loaded at all', async () => {
    const opened = fixture.open();
    Object.assign(opened.native, { failLoad: 'no such tensor' });
    expect(await check(opened, 'invalid')).toMatchObject({
      passed: false,
      failure: expect.stringContaining('no such tensor') as string,
    });
  });
});
