import { PutObjectCommand } from '@aws-sdk/client-s3';
import { Readable } from 'node:stream';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseSettings } from '#runtime/settings.js';
import { S3Server } from '../../../../test/support/s3-server.js';
import { openBlobStore, parseS3Url, storageSettings } from './open-blob-store.js';
import { makeS3Client, s3Settings } from './s3-client.js';

let s3: S3Server;
beforeAll(async () => {
  s3 = await S3Server.start('blobs');
});
afterAll(() => s3?.close());

const open = (url: string, env: Record<string, string> = s3.env) =>
  openBlobStore(parseSettings(storageSettings, { STORAGE_URL: url, ...env }));

describe('S3BlobStore', () => {
  it('sweeps what a killed process left below incoming/, when it is old enough', async () => {
    const store = await open('s3://blobs/swept');
    const client = makeS3Client(parseSettings(s3Settings, s3.env));
    await client.send(new PutObjectCommand({ Bucket: 'blobs', Key: 'swept/incoming/left', Body: 'half' }));
    client.destroy();
    expect(await store.sweep(3600_000)).toBe(0);
    expect(await store.sweep(-60_000)).toBe(1);
    expect(await store.sweep(-60_000)).toBe(0);
  });

  it('notices a damaged blob', async () => {
    const store = await open('s3://blobs/damaged');
    const { sha256 } = await store.put(Readable.from([Buffer.from('sound')]), { limitBytes: 10 });
    const client = makeS3Client(parseSettings(s3Settings, s3.env));
    const Key = `damaged/sha256/${sha256.slice(0, 2)}/${sha256}`;
    await client.send(new PutObjectCommand({ Bucket: 'blobs', Key, Body: 'rotten' }));
    client.destroy();
    await expect(store.read(sha256, 10)).rejects.toThrow('damaged');
  });

  it('does not open without its bucket, and says so', async () => {
    await expect(open('s3://nobody')).rejects.toThrow('the bucket nobody');
  });

  it('says that a dependency is away while S3 does not answer', async () => {
    const away = await S3Server.start('blobs');
    const store = await open('s3://blobs', away.env);
    await away.close();
    const put = store.put(Readable.from([Buffer.from('x')]), { limitBytes: 10 });
    await expect(put).rejects.toMatchObject({ code: 'dependency_unavailable' });
    await expect(store.stat('a'.repeat(64))).rejects.toMatchObject({ code: 'dependency_unavailable' });
  });

  it.each([
    ['s3://bucket', { bucket: 'bucket', prefix: '' }],
    ['s3://bucket/', { bucket: 'bucket', prefix: '' }],
    ['s3://my-bucket.x/a/b//', { bucket: 'my-bucket.x', prefix: 'a/b' }],
    ['s3://B/a', undefined],
    ['file:///a', undefined],
  ])('reads %s', (url, place) => {
    expect(parseS3Url(url)).toEqual(place);
  });
});
