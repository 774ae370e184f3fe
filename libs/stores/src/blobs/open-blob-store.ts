import { fileURLToPath } from 'node:url';
import { setting } from '#runtime/settings.js';
import { z } from 'zod';
import type { BlobStore } from './blob-store.js';
import { FileBlobStore } from './file-store.js';

/** A `file:` URL to the folder that it names; undefined when it is none. */
function folderOf(url: string): string | undefined {
  if (!url.startsWith('file:') || !URL.canParse(url)) return undefined;
  try {
    return fileURLToPath(url);
  } catch {
    return undefined;
  }
}

const storageUrl = z
  .string({ error: 'is required: a folder such as file:///var/lib/lorikeet/blobs' })
  .superRefine((value, context) => {
    if (value.startsWith('s3:')) context.addIssue('s3:// storage is not supported yet; use file:///folder');
    else if (!folderOf(value)) context.addIssue(`expected file:///folder, got "${value}"`);
  });

export const storageSettings = {
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
