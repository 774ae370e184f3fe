import { readdir, rename } from 'node:fs/promises';
import { join } from 'node:path';
import type { Platform } from './platform.js';

/** Takes a blob's file away; returns how to put it back. */
export async function takeBlobAway(platform: Platform, sha256: string): Promise<() => Promise<void>> {
  const entries = await readdir(join(platform.folder, 'blobs'), { recursive: true, withFileTypes: true });
  const entry = entries.find((each) => each.isFile() && each.name.includes(sha256));
  if (!entry) throw new Error('the blob is not there');
  const path = join(entry.parentPath, entry.name);
  await rename(path, `${path}.away`);
  return () => rename(`${path}.away`, path);
}
