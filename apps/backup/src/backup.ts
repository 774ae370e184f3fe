import type { Readable } from 'node:stream';
import type pg from 'pg';
import { BLOB_REMOVAL_LOCK } from '#adapters/blobs/blob-ledger.service.js';
import type { BlobStore } from '#stores/blobs/blob-store.js';
import { BackupError, blobEntry, type Manifest, SECRETS, type Secrets } from './archive.js';
import { ArchiveWriter } from './archive-writer.js';
import { type BlobFault, describeFaults } from './blob-check.js';
import { dumpDatabase } from './database-dump.js';

export interface BackupOptions {
  readonly path: string;
  readonly client: pg.Client;
  readonly blobs: BlobStore;
  readonly withBlobs: boolean;
  /** Undefined: left out. */
  readonly secrets: Secrets | undefined;
  /** Go on without blobs that are lost or damaged. */
  readonly allowDamage: boolean;
  readonly say: (text: string) => void;
}

/**
 * Writes everything that cannot be made again to one file, as it is at one moment, while the servers run: they serve
 * and take uploads meanwhile, and only the removal of files waits.
 */
export async function backUp(options: BackupOptions): Promise<Manifest['holds']> {
  const { client, secrets } = options;
  const archive = await ArchiveWriter.create(options.path);
  try {
    // Before the snapshot: what it names then stays in storage until its bytes are copied.
    await client.query('SELECT pg_advisory_lock($1)', [BLOB_REMOVAL_LOCK]);
    const database = await dumpDatabase(client, archive);
    const rows = database.tables.reduce((sum, table) => sum + table.rows, 0);
    options.say(`database: ${database.tables.length} tables, ${rows} rows`);
    if (secrets) await archive.add(SECRETS, Buffer.from(JSON.stringify(secrets)));
    if (options.withBlobs) await copyBlobs(options, archive, database.blobs);
    const holds = { blobs: options.withBlobs, secrets: secrets !== undefined };
    const head = { format: 'lorikeet-backup', version: 1, created_at: new Date().toISOString() } as const;
    await archive.finish({ ...head, ...database, holds });
    return holds;
  } catch (error) {
    await archive.abandon();
    throw error;
  }
}

async function copyBlobs(
  { client, blobs, allowDamage, say }: BackupOptions,
  archive: ArchiveWriter,
  wanted: Manifest['blobs'],
): Promise<void> {
  const faults: BlobFault[] = [];
  let copiedBytes = 0;
  for (const { sha256, bytes } of wanted) {
    const fault = await copyBlob(archive, blobs, { sha256, bytes });
    if (fault === undefined) copiedBytes += bytes;
    else faults.push({ sha256, fault });
  }
  say(`files: ${wanted.length - faults.length}, ${copiedBytes} bytes`);
  if (faults.length === 0) return;
  const text = await describeFaults(client, faults);
  if (!allowDamage) {
    throw new BackupError(
      `Storage is not whole, so no backup was made (--allow-damage makes one without them):\n${text}`,
    );
  }
  say(`left out:\n${text}`);
}

/** Returns what is wrong with it. */
async function copyBlob(
  archive: ArchiveWriter,
  blobs: BlobStore,
  { sha256, bytes }: Manifest['blobs'][number],
): Promise<string | undefined> {
  const found = await blobs.stat(sha256);
  if (!found) return 'lost';
  if (found.bytes !== bytes) return `damaged: it has ${found.bytes} bytes instead of ${bytes}`;
  const source: Readable = await blobs.open(sha256);
  const actual = await archive.stream(blobEntry(sha256), source, bytes);
  return actual === sha256 ? undefined : `damaged: its bytes hash to ${actual}`;
}
