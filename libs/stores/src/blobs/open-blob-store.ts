import { fileURLToPath } from 'node:url';
import { type SettingsOf, setting, text } from '#runtime/settings.js';
import { z } from 'zod';
import { BlobCache, type BlobCacheOptions } from './blob-cache.js';
import type { BlobStore } from './blob-store.js';
import { FileBlobStore } from './file-store.js';
import { makeS3Client, s3Settings } from './s3-client.js';
import { S3BlobStore } from './s3-store.js';

/** A `file:` URL to the folder that it names; undefined when it is none. */
function folderOf(url: string): string | undefined {
  if (!url.startsWith('file:') || !URL.canParse(url)) return undefined;
  try {
    return fileURLToPath(url);
  } catch {
    return undefined;
  }
}

/** The bucket and prefix (without slashes at its ends) of an `s3:` URL; undefined when it is none. */
export function parseS3Url(url: string): { bucket: string; prefix: string } | undefined {
  const match = /^s3:\/\/([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:\/+(.*?))?\/*$/.exec(url);
  return match ? { bucket: match[1] ?? '', prefix: match[2] ?? '' } : undefined;
}

const storageUrl = z
  .string({ error: 'is required: a folder such as file:///var/lib/lorikeet/blobs, or s3://bucket/prefix' })
  .superRefine((value, context) => {
    if (!folderOf(value) && !parseS3Url(value)) {
      context.addIssue(`expected file:///folder or s3://bucket/prefix, got "${value}"`);
    }
  });

export const storageSettings = {
  ...s3Settings,
  storageUrl: setting(
    {
      name: 'STORAGE_URL',
      summary: "Where adapters' files lie: `file:///folder` or `s3://bucket/prefix`",
      defaultText: '`file:` under `DATA_DIR` (set by `npm start`)',
    },
    storageUrl,
  ),
};
export type StorageSettings = SettingsOf<typeof storageSettings>;

/** Of processes that need blobs as local files. */
export const blobCacheSettings = {
  blobCacheBytes: setting(
    {
      name: 'BLOB_CACHE_BYTES',
      summary: 'With `s3://` storage: size of the local copies of adapters under `DATA_DIR`/blob-cache',
      defaultText: '20G',
    },
    text.bytes(20 * 2 ** 30),
  ),
};

/** Opens the store that STORAGE_URL names; `cache` holds local copies of a remote store's blobs. */
export async function openBlobStore(
  { storageUrl: url, ...settings }: StorageSettings,
  cache?: BlobCacheOptions,
): Promise<BlobStore> {
  const folder = folderOf(url);
  if (folder) return FileBlobStore.open(folder);
  const place = parseS3Url(url);
  if (!place) throw new Error(`no blob store for ${url}`);
  const opened = cache ? { cache: await BlobCache.open(cache) } : {};
  return S3BlobStore.open({ client: makeS3Client(settings), ...place, ...opened });
}
