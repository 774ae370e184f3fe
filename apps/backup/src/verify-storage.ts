import type pg from 'pg';
import { namedBlobs } from './database-dump.js';
import type { BlobStore } from '#stores/blobs/blob-store.js';
import { type BlobFault, describeFaults, faultOfBlob } from './blob-check.js';

export interface StorageReport {
  readonly files: number;
  readonly bytes: number;
  /** One line per lost or damaged file; undefined: none. */
  readonly faults: string | undefined;
}

/** Reads every byte that a version needs and compares it with its name. */
export async function verifyStorage(client: pg.Client, blobs: BlobStore): Promise<StorageReport> {
  const named = await namedBlobs(client);
  const { rows } = await client.query<{ sha256: string; bytes: string }>(named);
  const faults: BlobFault[] = [];
  let bytes = 0;
  for (const row of rows) {
    const blob = { sha256: row.sha256, bytes: Number(row.bytes) };
    const fault = await faultOfBlob(blobs, blob);
    bytes += blob.bytes;
    if (fault !== undefined && (await isStillNamed(client, named, blob.sha256)))
      faults.push({ sha256: blob.sha256, fault });
  }
  return {
    files: rows.length,
    bytes,
    faults: faults.length === 0 ? undefined : await describeFaults(client, faults),
  };
}

/** A version may be deleted, and its files with it, while we read. */
async function isStillNamed(client: pg.Client, named: string, sha256: string): Promise<boolean> {
  const { rows } = await client.query(`SELECT 1 FROM (${named}) named WHERE sha256 = $1`, [sha256]);
  return rows.length > 0;
}
