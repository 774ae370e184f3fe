import { createHash } from 'node:crypto';
import type { Readable } from 'node:stream';
import type pg from 'pg';
import { BLOB_USES, type BlobUse, FILE_USES, type FileUse } from '#adapters/blobs/blob-uses.js';
import type { BlobStore } from '#stores/blobs/blob-store.js';

/** A blob that the database names and whose bytes are not what they must be. */
export interface BlobFault {
  readonly sha256: string;
  readonly fault: string;
}

/** Undefined: all its bytes are there and hash to its name. */
export async function faultOfBlob(
  blobs: BlobStore,
  { sha256, bytes }: { sha256: string; bytes: number },
): Promise<string | undefined> {
  const found = await blobs.stat(sha256);
  if (!found) return 'lost';
  if (found.bytes !== bytes) return `damaged: it has ${found.bytes} bytes instead of ${bytes}`;
  const actual = await hashOf(await blobs.open(sha256));
  return actual === sha256 ? undefined : `damaged: its bytes hash to ${actual}`;
}

export async function hashOf(source: Readable): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of source as AsyncIterable<Buffer>) hash.update(chunk);
  return hash.digest('hex');
}

/** One line per fault: the digest, what is wrong, and the versions that cannot be served for it, or the files that cannot be read. */
export async function describeFaults(client: pg.Client, faults: readonly BlobFault[]): Promise<string> {
  const hashes = faults.map(({ sha256 }) => sha256);
  const { rows } = await client.query<BlobUse>(BLOB_USES, [hashes]);
  const files = await fileUses(client, hashes);
  return faults
    .map(({ sha256, fault }) => {
      const uses = rows.filter((row) => row.sha256 === sha256);
      const names = uses.map(
        ({ tenant, adapter, version, file }) => `${tenant}/${adapter}@${version} (${file})`,
      );
      for (const { tenant, filename } of files.filter((row) => row.sha256 === sha256))
        names.push(`${tenant}'s file ${filename}`);
      return `${sha256} is ${fault}; used by ${names.join(', ') || 'an unfinished upload'}`;
    })
    .join('\n');
}

/** None in a database of a version that had no files. */
async function fileUses(client: pg.Client, hashes: readonly string[]): Promise<readonly FileUse[]> {
  const { rows: tables } = await client.query("SELECT 1 WHERE to_regclass('public.files') IS NOT NULL");
  return tables.length === 0 ? [] : (await client.query<FileUse>(FILE_USES, [hashes])).rows;
}
