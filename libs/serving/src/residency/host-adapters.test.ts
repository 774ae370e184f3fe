import { mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { createHash } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { AdapterManifest } from '#contracts/adapter-manifest.js';
import { HostAdapters } from './host-adapters.js';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'lorikeet-host-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function make(limitBytes: number) {
  let fetches = 0;
  const blobs = {
    stat: async (sha256: string) => ({ sha256, bytes: 10 }),
    localPath: async (sha256: string) => {
      fetches++;
      return join(folder, sha256);
    },
  };
  const adapters = new HostAdapters({ blobs, limitBytes });
  const path = async (digest: string, manifest: AdapterManifest): Promise<string> => {
    const file = await adapters.open(digest, manifest);
    await file.verified;
    return file.path;
  };
  return { adapters, path, fetches: () => fetches };
}

/** A file of ten bytes and a manifest that names it. */
function store(name: string): AdapterManifest {
  const content = name.padEnd(10, '.');
  const sha256 = createHash('sha256').update(content).digest('hex');
  writeFileSync(join(folder, sha256), content);
  return { format: 'lorikeet.adapter.v1', base: 'base', weights: { sha256, bytes: 10 }, modules: [] };
}

describe('adapters on the host', () => {
  it('forgets those of a tenant with more than its part first', async () => {
    const { adapters } = make(50);
    const open = async (key: string, digest: string): Promise<void> => {
      await (await adapters.open(digest, store(digest), { key, weight: 1 })).verified;
    };
    for (const digest of ['mine', 'mine-too']) await open('modest', digest);
    for (let i = 0; i < 9; i++) await open('flood', `flood-${i}`);
    expect(adapters.digests).toEqual(['mine', 'mine-too', 'flood-6', 'flood-7', 'flood-8']);
  });

  it('fetches and verifies once for requests that come together and for those that come later', async () => {
    const { adapters, path, fetches } = make(100);
    const manifest = store('a');
    await Promise.all([1, 2, 3].map(() => path('a', manifest)));
    await path('a', manifest);
    expect(fetches()).toBe(1);
    expect(adapters.has('a')).toBe(true);
  });

  it('keeps the most recently used within its bytes, and none of a dropped one', async () => {
    const { adapters, path, fetches } = make(25);
    const manifests = new Map(['a', 'b', 'c'].map((name) => [name, store(name)]));
    const use = (name: string) => path(name, manifests.get(name) as AdapterManifest);
    for (const name of ['a', 'b', 'a', 'c', 'a']) await use(name);
    expect(fetches()).toBe(3);
    expect(adapters.bytes).toBe(20);
    await use('b');
    expect(fetches()).toBe(4);
    for (const name of ['a', 'b', 'c']) adapters.forget(name);
    expect(adapters.bytes).toBe(0);
  });

  it('verifies again when the file is another one, and refuses bytes that are not the manifest’s', async () => {
    const { adapters, path, fetches } = make(100);
    const manifest = store('a');
    const file = await path('a', manifest);
    utimesSync(file, 1, 1);
    await path('a', manifest);
    expect(fetches()).toBe(2);
    writeFileSync(file, 'not it any');
    await expect(path('a', manifest)).rejects.toThrow(/damaged/);
    expect(adapters.has('a')).toBe(false);
    expect(adapters.bytes).toBe(0);
  });

  it('serves an adapter that is larger than all it may keep, without keeping it', async () => {
    const { adapters, path } = make(5);
    expect(await path('a', store('a'))).toContain(folder);
    expect(adapters.bytes).toBe(0);
  });
});
