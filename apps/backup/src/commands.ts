import { mkdir, open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import pg from 'pg';
import { makeLogger } from '#runtime/logger.js';
import { parseSettings, type SettingsOf } from '#runtime/settings.js';
import type { BlobStore } from '#stores/blobs/blob-store.js';
import { openBlobStore } from '#stores/blobs/open-blob-store.js';
import { migrateDatabase } from '../../api/src/migrate-database.js';
import { BackupError, type Secrets } from './archive.js';
import { verifyArchive } from './archive-reader.js';
import { backUp } from './backup.js';
import { restore } from './restore.js';
import { backupSettings } from './settings.js';
import { verifyStorage } from './verify-storage.js';

type Settings = SettingsOf<typeof backupSettings>;

/** Files under DATA_DIR, as `npm start` names them. */
const SECRET_FILES = { admin_key: 'admin-key', secrets_key: 'secrets-key' } as const;

/** Something is missing that the command could not bring. */
const INCOMPLETE = 2;

export async function runBackup(
  path: string,
  wanted: { blobs: boolean; secrets: boolean; allowDamage: boolean },
): Promise<number> {
  return withStores(async ({ settings, client, blobs }) => {
    const holds = await backUp({
      path,
      client,
      blobs,
      withBlobs: wanted.blobs,
      secrets: wanted.secrets ? secretsOf(settings) : undefined,
      allowDamage: wanted.allowDamage,
      say,
    });
    say(`${path} is complete.`);
    if (holds.secrets)
      say("It holds the server's secrets: keep it as safe as them (--no-secrets leaves them out).");
    if (!holds.blobs) say('It holds no files of adapters: keep those of STORAGE_URL yourself.');
    return 0;
  });
}

export async function runRestore(
  path: string,
  { replace, secretsTo }: { replace: boolean; secretsTo: string | undefined },
): Promise<number> {
  return withStores(async ({ settings, client, blobs }) => {
    const { databaseUrl, redisUrl } = settings;
    const logger = makeLogger('restore', 'warn');
    const { manifest, missing } = await restore({
      path,
      client,
      blobs,
      replace,
      migrate: (only) => migrateDatabase({ databaseUrl, redisUrl, logger, ...(only ? { only } : {}) }),
      keepSecrets: (secrets) => keepSecrets(secrets, { settings, folder: secretsTo, replace }),
      say,
    });
    if (missing !== undefined) {
      say(`These files are neither in the backup nor in STORAGE_URL:\n${missing}`);
      return INCOMPLETE;
    }
    say(`files: all ${manifest.blobs.length} are there. Start Lorikeet.`);
    return 0;
  });
}

export async function runCheck(path: string): Promise<number> {
  const { created_at, entries, blobs, holds } = await verifyArchive(path);
  say(`${path} is whole: made ${created_at}, ${Object.keys(entries).length} parts.`);
  say(
    `It names ${blobs.length} files of adapters${holds.blobs ? ' and holds them' : ', which it does not hold'}.`,
  );
  return 0;
}

export async function runVerify(): Promise<number> {
  return withStores(async ({ client, blobs }) => {
    const { files, bytes, faults } = await verifyStorage(client, blobs);
    if (faults === undefined) say(`All ${files} files (${bytes} bytes) are there and as they were.`);
    else say(faults);
    return faults === undefined ? 0 : INCOMPLETE;
  });
}

function secretsOf({ adminKey, secretsKey }: Settings): Secrets {
  return {
    ...(adminKey === undefined ? {} : { admin_key: adminKey }),
    ...(secretsKey === undefined ? {} : { secrets_key: secretsKey }),
  };
}

/** Writes the backup's keys where `npm start` reads them; a key that the environment sets, or another file, comes first. */
async function keepSecrets(
  secrets: Secrets,
  { settings, folder, replace }: { settings: Settings; folder: string | undefined; replace: boolean },
): Promise<void> {
  if (
    secrets.secrets_key !== undefined &&
    (settings.secretsKey ?? secrets.secrets_key) !== secrets.secrets_key
  ) {
    say(
      'SECRETS_KEY is not that of the backup: add the old one behind it, or stored webhook secrets cannot be read.',
    );
  }
  if (folder === undefined) {
    say('The backup holds secrets (admin key, SECRETS_KEY); --secrets-to FOLDER writes them there.');
    return;
  }
  await mkdir(folder, { recursive: true });
  for (const [name, file] of Object.entries(SECRET_FILES)) {
    const value = secrets[name as keyof Secrets];
    if (value !== undefined) await keepSecret(join(folder, file), value, replace);
  }
}

async function keepSecret(path: string, value: string, replace: boolean): Promise<void> {
  const known = await readFile(path, 'utf8').catch(() => undefined);
  if (known?.trim() === value) return;
  if (known !== undefined && !replace) {
    throw new BackupError(`${path} holds another key than the backup. --replace overwrites it.`);
  }
  const file = await open(path, 'w', 0o600);
  await file.writeFile(`${value}\n`);
  await file.close();
}

interface Stores {
  readonly settings: Settings;
  readonly client: pg.Client;
  readonly blobs: BlobStore;
}

async function withStores<T>(work: (stores: Stores) => Promise<T>): Promise<T> {
  const settings = parseSettings(backupSettings, process.env);
  // No time limit for statements: a table may be large.
  const client = new pg.Client({
    connectionString: settings.databaseUrl,
    application_name: 'backup',
    keepAlive: true,
  });
  await client.connect();
  try {
    return await work({ settings, client, blobs: await openBlobStore(settings) });
  } finally {
    await client.end();
  }
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}
