import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import { buffer, text } from 'node:stream/consumers';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { parseSettings } from '#runtime/settings.js';
import { S3Server } from '../../../../test/support/s3-server.js';
import type { BlobStore } from './blob-store.js';
import { openBlobStore, storageSettings } from './open-blob-store.js';

let s3: S3Server;
let folder: string;
beforeAll(async () => {
  s3 = await S3Server.start('blobs');
  folder = await mkdtemp(join(tmpdir(), 'lorikeet-blobs-'));
});
afterAll(async () => {
  await s3?.close();
  await rm(folder, { recursive: true, force: true });
});

let made = 0;
/** Each an empty store of its own. */
const stores = {
  file: () => openBlobStore(settings(pathToFileURL(join(folder, String(++made))).href), cache()),
  's3 below a prefix': () => openBlobStore(settings(`s3://blobs/some/place-${++made}`), cache()),
};
const settings = (url: string) => parseSettings(storageSettings, { STORAGE_URL: url, ...s3.env });
const cache = () => ({ folder: join(folder, `cache-${++made}`), limitBytes: 2 ** 30 });
const sha256 = (bytes: string | Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
/** Larger than one part of an S3 upload. */
const LARGE = randomBytes(9 * 2 ** 20 + 7);

describe.each(Object.entries(stores))('a blob store: %s', (_, openStore) => {
  let store: BlobStore;
  beforeEach(async () => {
    store = await openStore();
  });

  const put = (bytes: string | Uint8Array, limitBytes = 2 ** 30) =>
    store.put(Readable.from([Buffer.from(bytes)]), { limitBytes });
  async function stored(): Promise<string[]> {
    const all = [];
    for await (const blob of store.list()) all.push(blob.sha256);
    return all;
  }

  it('keeps bytes under their SHA-256 and gives them back, whole or by range', async () => {
    const info = await put('hello world');
    expect(info).toEqual({ sha256: sha256('hello world'), bytes: 11 });
    expect(await store.stat(info.sha256)).toEqual(info);
    expect(await text(await store.open(info.sha256))).toBe('hello world');
    expect(await text(await store.open(info.sha256, { begin: 6, end: 9 }))).toBe('wor');
    expect(await text(await store.open(info.sha256, { begin: 6, end: 6 }))).toBe('');
    expect((await store.read(info.sha256, 100)).toString()).toBe('hello world');
  });

  it('keeps a large blob, also one that comes in small pieces, and one without bytes', async () => {
    const pieces = Array.from({ length: 1000 }, (_, index) =>
      LARGE.subarray(index * 9500, (index + 1) * 9500),
    );
    const info = await store.put(Readable.from(pieces), { limitBytes: 2 ** 30 });
    expect(info).toEqual({ sha256: sha256(LARGE), bytes: LARGE.length });
    expect(sha256(await buffer(await store.open(info.sha256)))).toBe(info.sha256);
    expect(await put('')).toEqual({ sha256: sha256(''), bytes: 0 });
    expect((await store.read(sha256(''), 10)).length).toBe(0);
    expect(await store.sweep(-60_000)).toBe(0);
  });

  it('keeps the same bytes once, and as new as they were put last', async () => {
    const before = Date.now();
    expect(await put(LARGE)).toEqual(await put(LARGE));
    for await (const blob of store.list()) expect(blob.touchedAt.getTime()).toBeGreaterThan(before - 2_000);
    expect(await stored()).toEqual([sha256(LARGE)]);
  });

  it.each([11, LARGE.length])(
    'refuses more bytes than allowed and leaves nothing behind (%i)',
    async (bytes) => {
      await expect(put(LARGE.subarray(0, bytes), bytes - 1)).rejects.toMatchObject({
        code: 'payload_too_large',
      });
      expect(await stored()).toEqual([]);
      expect(await store.sweep(-60_000)).toBe(0);
    },
  );

  it.each([4, LARGE.length])(
    'leaves nothing behind when the source breaks or the caller aborts (%i)',
    async (bytes) => {
      const broken = new PassThrough();
      const first = store.put(broken, { limitBytes: 2 ** 30 });
      broken.write(LARGE.subarray(0, bytes));
      setTimeout(() => broken.destroy(new Error('gone')), 100);
      await expect(first).rejects.toThrow('gone');

      const controller = new AbortController();
      const endless = new PassThrough();
      const second = store.put(endless, { limitBytes: 2 ** 30, signal: controller.signal });
      endless.write(LARGE.subarray(0, bytes));
      setTimeout(() => controller.abort(new Error('client left')), 100);
      await expect(second).rejects.toThrow('client left');
      expect(await stored()).toEqual([]);
      expect(await store.sweep(-60_000)).toBe(0);
    },
  );

  it('gives a local file, and forgets it with the blob', async () => {
    const info = await put('hello');
    expect(await text(Readable.from([await buffer(await store.open(info.sha256))]))).toBe('hello');
    const path = await store.localPath(info.sha256);
    expect(await store.localPath(info.sha256)).toBe(path);
    await store.delete(info.sha256);
    await store.delete(info.sha256);
    expect(await store.stat(info.sha256)).toBeUndefined();
    await expect(store.localPath(info.sha256)).rejects.toThrow('no blob');
    await expect(store.open(info.sha256)).rejects.toThrow('no blob');
  });

  it('lists every blob', async () => {
    const hashes = await Promise.all(['a', 'b', 'c'].map(async (bytes) => (await put(bytes)).sha256));
    expect((await stored()).toSorted()).toEqual(hashes.toSorted());
  });

  it('takes no name but a hash', async () => {
    await expect(store.stat('../../etc/passwd')).rejects.toThrow('SHA-256');
    await expect(store.localPath('../../etc/passwd')).rejects.toThrow('SHA-256');
  });
});
