import { readdir, rename } from 'node:fs/promises';
import { join } from 'node:path';

/** Takes a blob's file away from the store in that folder; returns how to put it back. */
export async function takeBlobAway(blobs: string, sha256: string): Promise<() => Promise<void>> {
  const entries = await readdir(blobs, { recursive: true, withFileTypes: true });
  const entry = entries.find((each) => each.isFile() && each.name.includes(sha256));
  if (!entry) throw new Error('the blob is not there');
  const path = join(entry.parentPath, entry.name);
  await rename(path, `${path}.away`);
  return () => rename(`${path}.away`, path);
}
