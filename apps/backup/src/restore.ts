import type pg from 'pg';
import type { BlobStore } from '#stores/blobs/blob-store.js';
import { type Manifest, SECRETS, type Secrets, SecretsSchema, blobOf } from './archive.js';
import { bufferOf, entriesOf, verifyArchive } from './archive-reader.js';
import { type BlobFault, describeFaults, faultOfBlob } from './blob-check.js';
import { DatabaseLoad } from './database-load.js';
import { checkEmpty, checkUnused, checkVersion, dropEverything } from './restore-target.js';

export interface RestoreOptions {
  readonly path: string;
  readonly client: pg.Client;
  readonly blobs: BlobStore;
  /** Delete what is in the database first. */
  readonly replace: boolean;
  /** Brings the database to the given migrations, or to all of this version. */
  readonly migrate: (only?: readonly string[]) => Promise<unknown>;
  /** Called with the backup's keys, if it has some, before anything is changed. */
  readonly keepSecrets: (secrets: Secrets) => Promise<void>;
  readonly say: (text: string) => void;
}

export interface Restored {
  readonly manifest: Manifest;
  /** One line per file that is neither in the backup nor in storage; undefined: none. */
  readonly missing: string | undefined;
}

/** Brings a verified backup into an empty database and into storage, and the database to this version. */
export async function restore(options: RestoreOptions): Promise<Restored> {
  const { path, client, say } = options;
  const manifest = await verifyArchive(path);
  say(`${path} is whole: made ${manifest.created_at}, ${Object.keys(manifest.entries).length} parts`);
  checkVersion(manifest);
  await checkUnused(client);
  if (options.replace) await dropEverything(client);
  else await checkEmpty(client);
  await options.migrate(manifest.migrations);
  await load(options, manifest);
  await options.migrate();
  const rows = manifest.tables.reduce((sum, table) => sum + table.rows, 0);
  say(`database: ${manifest.tables.length} tables, ${rows} rows`);
  return { manifest, missing: await missingBlobs(options, manifest) };
}

async function load({ path, client, blobs, keepSecrets }: RestoreOptions, manifest: Manifest): Promise<void> {
  const tables = new DatabaseLoad(client, manifest);
  const bytesOf = new Map(manifest.blobs.map(({ sha256, bytes }) => [sha256, bytes]));
  await tables.begin();
  try {
    for await (const { name, body } of entriesOf(path)) {
      const [folder, table = ''] = name.split('/');
      const sha256 = blobOf(name);
      if (folder === 'database') await tables.piece(table, body as AsyncIterable<Buffer>);
      else if (name === SECRETS)
        await keepSecrets(SecretsSchema.parse(JSON.parse((await bufferOf(body)).toString())));
      else if (sha256 !== undefined) {
        const blob = { sha256, bytes: bytesOf.get(sha256) ?? 0 };
        const asNamed = manifest.entries[name]?.sha256 === sha256; // else it was damaged before the backup
        if (asNamed && (await faultOfBlob(blobs, blob)) !== undefined) {
          await blobs.delete(sha256); // damaged bytes would be taken for it
          await blobs.put(body, { limitBytes: blob.bytes });
        }
      }
    }
    await tables.commit();
  } catch (error) {
    await tables.rollBack().catch(() => undefined);
    throw error;
  }
}

async function missingBlobs(
  { client, blobs }: RestoreOptions,
  manifest: Manifest,
): Promise<string | undefined> {
  const faults: BlobFault[] = [];
  for (const { sha256, bytes } of manifest.blobs) {
    const found = await blobs.stat(sha256);
    if (found?.bytes !== bytes) faults.push({ sha256, fault: found ? 'damaged' : 'lost' });
  }
  return faults.length === 0 ? undefined : describeFaults(client, faults);
}
