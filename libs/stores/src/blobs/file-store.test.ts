import { createHash } from 'node:crypto';
import { mkdtemp, readdir, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { inRequest, noteTenant } from '#runtime/request-context.js';
import { FairPlaces } from '../fair-places.js';
import { FileBlobStore } from './file-store.js';

let folder: string;
let store: FileBlobStore;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lorikeet-blobs-'));
  store = await FileBlobStore.open(folder);
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const sha256 = (bytes: string): string => createHash('sha256').update(bytes).digest('hex');
const put = (bytes: string, limitBytes = 1000) =>
  store.put(Readable.from([Buffer.from(bytes)]), { limitBytes });
const incoming = () => readdir(join(folder, 'incoming'));

describe('FileBlobStore', () => {
  it('keeps bytes under their SHA-256 and gives them back, whole or by range', async () => {
    const info = await put('hello world');
    expect(info).toEqual({ sha256: sha256('hello world'), bytes: 11 });
    expect(await readdir(join(folder, 'sha256', info.sha256.slice(0, 2)))).toEqual([info.sha256]);
    expect(await text(await store.open(info.sha256))).toBe('hello world');
    expect(await text(await store.open(info.sha256, { begin: 6, end: 9 }))).toBe('wor');
    expect(await text(await store.open(info.sha256, { begin: 6, end: 6 }))).toBe('');
    expect((await store.read(info.sha256, 100)).toString()).toBe('hello world');
  });

  it('takes no more turns at the disk than one owner may have, and leaves the others free', async () => {
    const turns = new FairPlaces(2, 1);
    const fair = await FileBlobStore.open(folder, turns);
    const asTenant = (tenant: string, bytes: string) =>
      inRequest({ requestId: tenant, address: '::1' }, () => {
        noteTenant(tenant);
        return fair.put(Readable.from([Buffer.from(bytes)]), { limitBytes: 1000 });
      });
    await turns.take('greedy', 1);
    let isStored = false;
    const waits = asTenant('greedy', 'waits').finally(() => {
      isStored = true;
    });
    for (const bytes of ['goes on', 'and on', 'and on again']) await asTenant('other', bytes);
    expect(isStored).toBe(false);
    expect(await incoming()).toEqual([]); // nothing of it was begun
    turns.giveBack('greedy');
    expect((await waits).bytes).toBe(5);
  });

  it('keeps the same bytes once', async () => {
    const [a, b] = [await put('twice'), await put('twice')];
    expect(a).toEqual(b);
    expect(await incoming()).toEqual([]);
    const all = [];
    for await (const blob of store.list()) all.push(blob.sha256);
    expect(all).toEqual([a.sha256]);
  });

  it('refuses more bytes than allowed and leaves nothing behind', async () => {
    await expect(put('x'.repeat(11), 10)).rejects.toMatchObject({ code: 'payload_too_large' });
    expect(await incoming()).toEqual([]);
    expect(await store.stat(sha256('x'.repeat(11)))).toBeUndefined();
  });

  it('leaves nothing behind when the source breaks or the caller aborts', async () => {
    const broken = new PassThrough();
    const first = store.put(broken, { limitBytes: 100 });
    broken.write('half');
    broken.destroy(new Error('gone'));
    await expect(first).rejects.toThrow('gone');

    const controller = new AbortController();
    const endless = new PassThrough();
    const second = store.put(endless, { limitBytes: 100, signal: controller.signal });
    endless.write('half');
    controller.abort(new Error('client left'));
    await expect(second).rejects.toThrow('client left');
    expect(await incoming()).toEqual([]);
  });

  it('notices a damaged blob', async () => {
    const info = await put('sound');
    await writeFile(join(folder, 'sha256', info.sha256.slice(0, 2), info.sha256), 'rotten');
    await expect(store.read(info.sha256, 100)).rejects.toThrow('damaged');
  });

  it('sweeps only old temporary files', async () => {
    await writeFile(join(folder, 'incoming', 'old'), '');
    await writeFile(join(folder, 'incoming', 'new'), '');
    await utimes(join(folder, 'incoming', 'old'), new Date(0), new Date(0));
    expect(await store.sweep(60_000)).toBe(1);
    expect(await incoming()).toEqual(['new']);
  });

  it('takes no name but a hash', async () => {
    await expect(store.stat('../../etc/passwd')).rejects.toThrow('SHA-256');
  });
});
