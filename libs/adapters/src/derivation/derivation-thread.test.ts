import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { canonicalJson } from '../peft/canonical-json.js';
import { parseSettings } from '#runtime/settings.js';
import { FileBlobStore } from '#stores/blobs/file-store.js';
import { storageSettings } from '#stores/blobs/open-blob-store.js';
import { CONFIG, WEIGHTS } from '../../../../test/support/adapter-form.js';
import { goldenBase, goldenFolder } from '../../../../test/support/golden-base.js';
import { sourceVersion } from '../../../../test/support/source-version.js';
import { deriveInThread } from './derivation-thread.js';
import { derive, type DerivationJobInput } from './derive.js';

const MIB = 2 ** 20;
const folder = mkdtempSync(join(tmpdir(), 'lorikeet-derivation-'));
const storage = parseSettings(storageSettings, { STORAGE_URL: pathToFileURL(folder).href });
let input: DerivationJobInput;
let blobs: FileBlobStore;
beforeAll(async () => {
  blobs = await FileBlobStore.open(folder);
  const put = async (bytes: Uint8Array) =>
    (await blobs.put(Readable.from([bytes]), { limitBytes: MIB })).sha256;
  const adapter = join(goldenFolder('llama-gqa'), 'adapters/qv-r8');
  const { source } = sourceVersion(adapter, goldenBase('llama-gqa'));
  const weights = { ...source.manifest.weights, sha256: await put(readFileSync(join(adapter, WEIGHTS))) };
  const digest = await put(Buffer.from(canonicalJson({ ...source.manifest, weights })));
  input = { name: 'bot@1', weight: 1, digest, configSha256: await put(readFileSync(join(adapter, CONFIG))) };
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function shrink(
  limits: { timeout_s?: number; memoryBytes?: number } = {},
  signal = new AbortController().signal,
) {
  const out = mkdtempSync(join(folder, 'out-'));
  const steps: [number, number][] = [];
  const result = deriveInThread(
    { recipe: { operation: 'shrink', rank: 2 }, inputs: [input], folder: out },
    { storage, limits: { timeout_s: 60, memoryBytes: 256 * MIB, ...limits } },
    { onProgress: (done, total) => steps.push([done, total]), signal },
  );
  return { out, steps, result };
}

describe('a thread that computes a version', () => {
  it('writes its files, tells of each module, and leaves nothing else', async () => {
    const { out, steps, result } = shrink();
    expect((await result).rank).toBe(2);
    expect(readdirSync(out).sort()).toEqual([CONFIG, WEIGHTS]);
    expect(steps).toEqual([1, 2, 3, 4, 5, 6].map((done) => [done, 6]));
  });

  it('is given up when it takes too long, or is no longer wanted', async () => {
    await expect(shrink({ timeout_s: 0.001 }).result).rejects.toThrow('took longer than 0.001 seconds');
    const controller = new AbortController();
    const { result } = shrink({}, controller.signal);
    controller.abort(new Error('cancelled'));
    await expect(result).rejects.toThrow('cancelled');
  });

  it('refuses what needs more memory than it may take, before it takes it', async () => {
    const out = mkdtempSync(join(folder, 'out-'));
    const recipe = { operation: 'shrink' as const, rank: 2 };
    const job = { recipe, inputs: [input], folder: out, memoryBytes: 60_000 };
    await expect(derive(job, blobs, () => undefined)).rejects.toThrow(
      'need about 1 MiB to compute with; 0 MiB are allowed (DERIVATION_MEMORY_BYTES)',
    );
    expect(readdirSync(out)).toEqual([]);
  });
});
