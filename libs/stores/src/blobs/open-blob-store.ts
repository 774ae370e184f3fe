import { fileURLToPath } from 'node:url';
import { setting } from '#runtime/settings.js';
import { z } from 'zod';
import type { BlobStore } from './blob-store.js';
import { FileBlobStore } from './file-store.js';
import { s3Settings } from './s3-client.js';

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
  .string({ error: 'is required: a folder such as file:///var/lib/lorikeet/blobs' })
  .superRefine((value, context) => {
    if (value.startsWith('s3:')) context.addIssue('s3:// storage is not supported yet; use file:///folder');
    else if (!folderOf(value)) context.addIssue(`expected file:///folder, got "${value}"`);
  });

export const storageSettings = {
  ...s3Settings,
  storageUrl: setting(
    {
      name: 'STORAGE_URL',
      summary: "Where adapters' files lie: `file:///folder`",
      defaultText: '`file:` under `DATA_DIR` (set by `npm start`)',
    },
    storageUrl,
  ),
};

/** Opens the store that STORAGE_URL names. */
export async function openBlobStore(url: string): Promise<BlobStore> {
  const folder = folderOf(url);
  if (!folder) throw new Error(`no blob store for ${url}`);
  return FileBlobStore.open(folder);
}
