import { createHash } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { BlobCache } from './blob-cache.js';

let folder: string;
let cache: BlobCache;
let fetches: number;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lorikeet-cache-'));
  cache = await BlobCache.open({ folder, limitBytes: 25 });
  fetches = 0;
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const sha256 = (bytes: string): string => createHash('sha256').update(bytes).digest('hex');
const path = (bytes: string, sent = bytes, from = cache) =>
  from.path(sha256(bytes), async () => {
    fetches += 1;
    return Readable.from([Buffer.from(sent)]);
  });
const kept = async () => (await readdir(folder)).filter((name) => name !== 'incoming').toSorted();

describe('BlobCache', () => {
  it('fetches a blob once, however many ask', async () => {
    const paths = await Promise.all([path('a'), path('a'), path('a')]);
    expect(await readFile(paths[0] ?? '', 'utf8')).toBe('a');
    await path('a');
    expect(fetches).toBe(1);
  });

  it('keeps nothing that does not hash to its name', async () => {
    await expect(path('a', 'b')).rejects.toThrow('damaged');
    expect(await kept()).toEqual([]);
    expect(await readdir(join(folder, 'incoming'))).toEqual([]);
  });

  it('fetches again what was damaged on the disk between two runs', async () => {
    await writeFile(await path('sound'), 'rotten');
    const next = await BlobCache.open({ folder, limitBytes: 25 });
    expect(await readFile(await path('sound', 'sound', next), 'utf8')).toBe('sound');
    expect(fetches).toBe(2);
  });

  it('lets the least recently used go, but none that was given out just now', async () => {
    const old = ['0123456789', 'abcdefghij'];
    for (const [index, bytes] of old.entries()) {
      const time = new Date(Date.now() - 3600_000 * (2 - index));
      await utimes(await path(bytes), time, time);
    }
    await path('klmnopqrst');
    expect(await kept()).toEqual([sha256('abcdefghij'), sha256('klmnopqrst')].toSorted());
    await path('uvwxyzUVWXYZ');
    expect(await kept()).toEqual([sha256('klmnopqrst'), sha256('uvwxyzUVWXYZ')].toSorted());
    await path('another one');
    expect(await kept()).toHaveLength(3); // over the limit for a while rather than gone under somebody's hands
  });
});
