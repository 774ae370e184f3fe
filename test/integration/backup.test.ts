import { copyFile, mkdtemp, open, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { BatchResource } from '#contracts/openai/batches.js';
import { makeLogger } from '#runtime/logger.js';
import { parseSettings } from '#runtime/settings.js';
import { openBlobStore, storageSettings } from '#stores/blobs/open-blob-store.js';
import type { BlobStore } from '#stores/blobs/blob-store.js';
import { migrateDatabase } from '../../apps/api/src/migrate-database.js';
import { MANIFEST, type Secrets } from '../../apps/backup/src/archive.js';
import { verifyArchive } from '../../apps/backup/src/archive-reader.js';
import { backUp } from '../../apps/backup/src/backup.js';
import { restore } from '../../apps/backup/src/restore.js';
import { checkUnused, checkVersion } from '../../apps/backup/src/restore-target.js';
import { verifyStorage } from '../../apps/backup/src/verify-storage.js';
import { MIGRATIONS } from '../../migrations/in-order.js';
import { batchOf, ended, startBatch } from '../support/batches.js';
import { takeBlobAway } from '../support/blob-files.js';
import { Client, type VersionBody } from '../support/client.js';
import { goldenFolder } from '../support/golden-base.js';
import { ADMIN_KEY, Platform } from '../support/platform.js';
import { S3Server } from '../support/s3-server.js';
import { postSigned } from '../support/webhooks.js';

const adapterFolder = (name: string) => join(goldenFolder('llama-gqa'), 'adapters', name);
const SECRETS: Secrets = { admin_key: ADMIN_KEY, secrets_key: 'a key of at least 32 characters for tests' };

/** Of a tar file. */
const BLOCK_BYTES = 512;

let folder: string;
let source: Platform;
let acme: Client;
let blobs: BlobStore;
let batch: BatchResource;
let hook: { readonly id: string; readonly secret: string };
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lorikeet-backup-'));
  source = await Platform.start();
  blobs = await openBlobStore(parseSettings(storageSettings, source.env));
  acme = await source.tenant('acme');
  await acme.uploadFolder('bot', adapterFolder('qv-r8'));
  await acme.expect(200, 'PUT', '/v1/adapters/bot/aliases/production', { routes: [{ version: 1 }] });
  hook = await acme.expect(201, 'POST', '/v1/hooks', { name: 'ci' });
  batch = await ended(acme, (await startBatch(acme, [{ custom_id: 'a' }])).id);
});
afterAll(async () => {
  await source?.close();
  await rm(folder, { recursive: true, force: true });
});

async function connected<T>(url: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url, application_name: 'backup' });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

/** Where a byte of the first entry stands, of one in the middle, of the manifest, and of the last one. */
async function bytesOfEntries(path: string): Promise<number[]> {
  const archive = await readFile(path);
  const found: { name: string; at: number }[] = [];
  for (let header = 0; archive[header] !== 0; ) {
    const text = (from: number, to: number) => archive.toString('latin1', header + from, header + to);
    const bytes = Number.parseInt(text(124, 136), 8);
    const name = text(0, 100).replace(/\0.*$/, '');
    // What stands between entries, to fill blocks, belongs to none.
    if (bytes > 0) found.push({ name, at: header + BLOCK_BYTES + Math.floor(bytes / 2) });
    header += BLOCK_BYTES * (1 + Math.ceil(bytes / BLOCK_BYTES));
  }
  const manifest = found.findIndex(({ name }) => name === MANIFEST);
  const chosen = [0, Math.floor(found.length / 2), manifest, found.length - 1];
  return chosen.map((index) => found[index]?.at ?? 0);
}

async function flipByte(path: string, at: number): Promise<void> {
  const file = await open(path, 'r+');
  const byte = Buffer.alloc(1);
  await file.read(byte, 0, 1, at);
  byte[0] = (byte[0] as number) ^ 0x55;
  await file.write(byte, 0, 1, at);
  await file.close();
}

const make = (path: string, more: { withBlobs?: boolean; allowDamage?: boolean; secrets?: Secrets } = {}) =>
  connected(source.env.DATABASE_URL as string, (client) =>
    backUp({
      path,
      client,
      blobs,
      withBlobs: true,
      secrets: undefined,
      allowDamage: false,
      say: () => undefined,
      ...more,
    }),
  );

/** A database and a storage of their own, with nothing in them. */
class Target {
  static #made = 0;
  private constructor(
    readonly url: string,
    readonly env: Record<string, string>,
    readonly blobs: BlobStore,
  ) {}

  static async make(env: Record<string, string> = {}): Promise<Target> {
    const name = `target_${++Target.#made}`;
    const owner = new URL(source.env.DATABASE_URL as string);
    const admin = new URL(owner);
    [admin.username, admin.pathname, owner.pathname] = ['postgres', '/postgres', `/${name}`];
    await connected(admin.href, (client) => client.query(`CREATE DATABASE ${name} OWNER lorikeet`));
    const storage = { STORAGE_URL: pathToFileURL(join(folder, name)).href, ...env };
    const blobs = await openBlobStore(parseSettings(storageSettings, storage));
    return new Target(owner.href, { DATABASE_URL: owner.href, REDIS_URL: '', ...storage }, blobs);
  }

  query<Row>(sql: string): Promise<Row[]> {
    return connected(this.url, async (client) => (await client.query(sql)).rows as Row[]);
  }

  migrate(only?: readonly string[]) {
    const logger = makeLogger('test', 'silent');
    return migrateDatabase({ databaseUrl: this.url, redisUrl: undefined, logger, ...(only ? { only } : {}) });
  }

  async restore(path: string, replace = false) {
    const kept: Secrets[] = [];
    const result = await connected(this.url, (client) =>
      restore({
        path,
        client,
        blobs: this.blobs,
        replace,
        migrate: (only) => this.migrate(only),
        keepSecrets: async (secrets) => void kept.push(secrets),
        say: () => undefined,
      }),
    );
    return { kept, ...result };
  }
}

async function restored(path: string, env: Record<string, string> = {}) {
  const target = await Target.make(env);
  return { target, ...(await target.restore(path)) };
}

interface Versions {
  readonly data: readonly (VersionBody & { readonly files?: unknown })[];
}
const versionsOf = (client: Client) =>
  client.expect<Versions>(200, 'GET', '/v1/adapters/bot/versions?limit=100');

const TABLES = [
  'tenants',
  'api_keys',
  'adapters',
  'adapter_versions',
  'version_files',
  'aliases',
  'hooks',
  'audit_entries',
  'usage_minutes',
  'files',
  'batches',
  'tenant_storage',
];
/** All rows of what must not be lost; when a key was last used is written some time after, also after the backup. */
async function rowsOf(database: {
  query<Row>(sql: string): Promise<Row[]>;
}): Promise<Record<string, string[]>> {
  const rows: Record<string, string[]> = {};
  for (const table of TABLES) {
    const found = await database.query<{ row: string }>(
      `SELECT (to_jsonb(t) - 'last_used_at')::text AS row FROM ${table} t ORDER BY 1`,
    );
    rows[table] = found.map(({ row }) => row);
  }
  return rows;
}

describe('a backup', () => {
  it('made under load is whole at each moment', async () => {
    let running = true;
    const load = (async () => {
      while (running) {
        await acme.uploadFolder('bot', adapterFolder('qv-r8'), 20);
        const { body } = await acme.uploadFolder('churn', adapterFolder('rslora-r4'), 20);
        await acme.call('DELETE', `/v1/adapters/churn/versions/${body.version}`);
      }
    })();
    const paths = [0, 1].map((i) => join(folder, `moment-${i}.tar`));
    try {
      for (const path of paths) await make(path);
    } finally {
      running = false;
      await load;
    }
    for (const path of paths) {
      const { target, missing } = await restored(path);
      expect(missing).toBeUndefined();
      expect(
        (await connected(target.url, (client) => verifyStorage(client, target.blobs))).faults,
      ).toBeUndefined();
    }
  });

  it('brings everything back: versions with the same digests, keys, aliases, hooks, usage, audit, files', async () => {
    const path = join(folder, 'all.tar');
    const before = await versionsOf(acme);
    const { path: link } = await acme.expect<{ path: string }>(201, 'POST', '/v1/session/links');
    await acme.expect(201, 'POST', '/v1/session/links');
    await acme.expect(201, 'POST', '/v1/session', { link: link.split('#')[1] });
    await make(path, { secrets: SECRETS });
    const rows = await rowsOf(source);
    const { target, kept, missing } = await restored(path);
    expect(kept).toEqual([SECRETS]);
    expect(missing).toBeUndefined();
    expect(await rowsOf(target)).toEqual(rows);
    // Whoever was signed in at the console signs in again.
    for (const table of ['console_sessions', 'sign_in_links', 'logged_requests'])
      expect(await target.query(`SELECT * FROM ${table}`)).toEqual([]);

    const url = await source.startApi(target.env);
    await source.startWorker(target.env);
    const again = new Client(url, acme.key);
    expect(await versionsOf(again)).toEqual(before);
    expect(before.data.length).toBeGreaterThan(0);
    for (const { version, weights_sha256 } of before.data) {
      const answer = await fetch(
        `${url}/v1/adapters/bot/versions/${version}/files/adapter_model.safetensors`,
        {
          headers: { authorization: `Bearer ${again.key}` },
        },
      );
      const digest = await crypto.subtle.digest('SHA-256', await answer.arrayBuffer());
      expect(Buffer.from(digest).toString('hex')).toBe(weights_sha256);
    }
    expect(await batchOf(again, batch.id)).toEqual(batch);
    const content = await again.call('GET', `/v1/files/${batch.input_file_id}/content`);
    expect(content.body).toBe('{"custom_id":"a"}\n');
    // The same SECRETS_KEY opens the hook's secret.
    const event = { type: 'fine_tuning.job.failed', data: { job_id: 'run-1', adapter: 'bot' } };
    const answer = await postSigned(`${url}/v1/hooks/fine-tune/${hook.id}`, hook.secret, event);
    expect(answer.status).not.toBe(401);
    expect(answer.status).toBeLessThan(300);
    expect((await again.uploadFolder('more', adapterFolder('qv-r8'))).body.state).toBe('ready');
    // Triggers and constraints watch again.
    await expect(target.query('DELETE FROM audit_entries')).rejects.toThrow(/append-only/);
    await expect(target.query('UPDATE adapter_versions SET adapter_id = gen_random_uuid()')).rejects.toThrow(
      /adapter_versions_adapter_id_fkey/,
    );
  });

  it('goes into another kind of storage', async () => {
    const s3 = await S3Server.start('kept');
    try {
      const { target, missing, manifest } = await restored(join(folder, 'all.tar'), {
        ...s3.env,
        STORAGE_URL: 's3://kept/lorikeet',
      });
      expect(missing).toBeUndefined();
      for (const { sha256, bytes } of manifest.blobs)
        expect(await target.blobs.stat(sha256)).toEqual({ sha256, bytes });
      const again = join(folder, 'from-s3.tar');
      await connected(target.url, (client) =>
        backUp({
          path: again,
          client,
          blobs: target.blobs,
          withBlobs: true,
          secrets: undefined,
          allowDamage: false,
          say: () => undefined,
        }),
      );
      expect((await verifyArchive(again)).blobs).toEqual(manifest.blobs);
    } finally {
      await s3.close();
    }
  });

  it('without files and secrets holds neither, and its restore names what storage lacks', async () => {
    const path = join(folder, 'small.tar');
    await make(path, { withBlobs: false });
    expect(await verifyArchive(path)).toMatchObject({ holds: { blobs: false, secrets: false } });
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    const { missing, kept } = await restored(path);
    expect(missing).toMatch(/[0-9a-f]{64} is lost; used by .*acme\/bot@1 \(adapter_model.safetensors\)/);
    expect(missing).toMatch(/[0-9a-f]{64} is lost; used by acme's file requests.jsonl/);
    expect(kept).toEqual([]);
    // Where storage still has them nothing is missing.
    const shared = await restored(path, { STORAGE_URL: source.env.STORAGE_URL as string });
    expect(shared.missing).toBeUndefined();
  });

  it('is refused when a byte of it was changed, or its end is missing, and then changes nothing', async () => {
    const whole = join(folder, 'all.tar');
    const { size } = await stat(whole);
    for (const at of await bytesOfEntries(whole)) {
      const path = join(folder, `bad-${at}.tar`);
      await copyFile(whole, path);
      await flipByte(path, at);
      await expect(verifyArchive(path)).rejects.toThrow(/damaged|no backup|incomplete/);
    }
    const cut = join(folder, 'cut.tar');
    await copyFile(whole, cut);
    await truncate(cut, Math.floor(size * 0.7));
    const target = await Target.make();
    await expect(target.restore(cut)).rejects.toThrow(/damaged|incomplete/);
    expect(await target.query("SELECT 1 FROM pg_tables WHERE schemaname = 'public'")).toEqual([]);
  });

  it('is refused where servers run and where something is, and replaces that when told to', async () => {
    const path = join(folder, 'all.tar');
    const inUse = connected(source.env.DATABASE_URL as string, checkUnused);
    await expect(inUse).rejects.toThrow(/Lorikeet runs on this database/);
    const { target } = await restored(path);
    await target.query("INSERT INTO tenants (id, name) VALUES (gen_random_uuid(), 'intruder')");
    await expect(target.restore(path)).rejects.toThrow(/The database is not empty .*--replace/);
    await target.restore(path, true);
    expect(await target.query("SELECT 1 FROM tenants WHERE name = 'intruder'")).toEqual([]);
    expect(await target.query("SELECT 1 FROM tenants WHERE name = 'acme'")).toHaveLength(1);
  });

  it('of an older version is brought to this one; one of a newer version is refused', async () => {
    const names = MIGRATIONS.map((migration) => new migration().name as string);
    const old = await Target.make();
    await old.migrate(names.slice(0, names.indexOf('ResumableUploads1763600000022') + 1));
    await old.query("INSERT INTO tenants (id, name) VALUES (gen_random_uuid(), 'veteran')");
    const path = join(folder, 'old.tar');
    await connected(old.url, (client) =>
      backUp({
        path,
        client,
        blobs,
        withBlobs: true,
        secrets: undefined,
        allowDamage: false,
        say: () => undefined,
      }),
    );
    const { target } = await restored(path);
    expect(await target.query("SELECT 1 FROM tenants WHERE name = 'veteran'")).toHaveLength(1);
    expect(await target.query('SELECT 1 FROM migrations')).toHaveLength(names.length);
    expect(() => checkVersion({ migrations: [...names, 'Later9'] })).toThrow(/newer version.*Later9/);
  });
});

describe('a lost or damaged file', () => {
  it('is named with the versions that use it, and no backup is made unless that is wanted', async () => {
    // An adapter that nobody has deleted: bytes that are being removed at this moment have to be sent again.
    const { body } = await acme.uploadFolder('fragile', adapterFolder('some-layers'));
    const verify = () =>
      connected(source.env.DATABASE_URL as string, (client) => verifyStorage(client, blobs));
    expect((await verify()).faults).toBeUndefined();
    const sha256 = body.weights_sha256;
    const path = join(folder, 'damaged.tar');

    const putBack = await takeBlobAway(join(source.folder, 'blobs'), sha256);
    const lost = new RegExp(`^${sha256} is lost; used by acme/fragile@1 \\(adapter_model.safetensors\\)$`);
    expect((await verify()).faults).toMatch(lost);
    await expect(make(path)).rejects.toThrow(new RegExp(`${sha256} is lost`));
    await expect(stat(path)).rejects.toThrow(/ENOENT/);
    await expect(stat(`${path}.part`)).rejects.toThrow(/ENOENT/);
    await make(path, { allowDamage: true });
    await putBack();

    const file = await blobs.localPath(sha256);
    const good = await readFile(file);
    await flipByte(file, good.length - 1);
    expect((await verify()).faults).toMatch(
      new RegExp(`${sha256} is damaged: its bytes hash to .*acme/fragile@1`),
    );
    await expect(make(join(folder, 'rotten.tar'))).rejects.toThrow(/is damaged/);
    await make(join(folder, 'rotten.tar'), { allowDamage: true });
    expect((await restored(join(folder, 'rotten.tar'))).missing).toMatch(new RegExp(`${sha256} is lost`));
    // A restore mends what is damaged where the backup has the right bytes.
    await writeFile(file, good);
    await make(join(folder, 'good.tar'));
    await flipByte(file, good.length - 1);
    const env = { STORAGE_URL: source.env.STORAGE_URL as string };
    expect((await restored(join(folder, 'good.tar'), env)).missing).toBeUndefined();
    expect((await verify()).faults).toBeUndefined();
  });
});
