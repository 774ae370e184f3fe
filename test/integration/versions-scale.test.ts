import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import type { DataSource } from 'typeorm';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { accountsEntities } from '#accounts/accounts.module.js';
import { AdapterChanges } from '#adapters/registry/adapter-changes.js';
import { adaptersEntities } from '#adapters/adapters.module.js';
import { AdaptersService } from '#adapters/registry/adapters.service.js';
import { AliasesService } from '#adapters/aliases/aliases.service.js';
import { BlobLedger } from '#adapters/blobs/blob-ledger.service.js';
import { CallableModels } from '#adapters/registry/callable-models.service.js';
import { LineageService } from '#adapters/registry/lineage.service.js';
import { loadTarget } from '#adapters/registry/served-target.js';
import { SharesService } from '#adapters/registry/shares.service.js';
import { VersionsService } from '#adapters/registry/versions.service.js';
import { makeLogger } from '#runtime/logger.js';
import { FileBlobStore } from '#stores/blobs/file-store.js';
import { makeDataSource } from '#stores/postgres/data-source.js';
import { storesEntities } from '#stores/stores.module.js';
import { migrateDatabase } from '../../apps/api/src/migrate-database.js';
import { adapterId, fillDatabase, TENANT } from '../../bench/platform/fill-database.mjs';
import { startPostgres } from '../../scripts/lib/postgres.mjs';
import { slowPlans } from '../support/query-plans.js';

const ADAPTERS = 2_000;
const TABLES = new Set([
  'adapters',
  'adapter_versions',
  'version_files',
  'version_parents',
  'aliases',
  'alias_changes',
  'version_bases',
]);

const logger = makeLogger('test', 'silent');
let folder: string;
let postgres: Awaited<ReturnType<typeof startPostgres>>;
let database: DataSource;
let blobs: FileBlobStore;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lorikeet-scale-'));
  blobs = await FileBlobStore.open(join(folder, 'blobs'));
  postgres = await startPostgres({ directory: join(folder, 'postgres') });
  await migrateDatabase({ databaseUrl: postgres.url, redisUrl: undefined, logger });
  const client = new pg.Client({ connectionString: postgres.url });
  await client.connect();
  await fillDatabase(client, { from: 1, to: ADAPTERS });
  await client.query(`
    INSERT INTO version_bases (version_id, base_digest, tenant_id, base_model, state, digest)
    SELECT id, 'cd', tenant_id, 'next', 'ready', digest FROM adapter_versions WHERE state = 'ready'`);
  await client.query('ANALYZE version_bases');
  await client.end();
  const entities = [...storesEntities, ...accountsEntities, ...adaptersEntities];
  database = await makeDataSource({ url: postgres.url, poolSize: 2, entities, logger }).initialize();
});
afterAll(async () => {
  await database?.destroy();
  await postgres?.child.stop();
  await rm(folder, { recursive: true, force: true });
});

const plansOf = (call: () => Promise<unknown>) => slowPlans(database, TABLES, call);
const page = { limit: 20 };
const middle = adapterId(ADAPTERS / 2);

describe('with very many versions, no table is read or sorted as a whole', () => {
  const changes = () => new AdapterChanges(database);
  const ledger = () => new BlobLedger(database, blobs);
  const adapters = () => new AdaptersService(database, changes(), ledger());
  const versions = () => new VersionsService(database, changes(), ledger());
  const aliases = () => new AliasesService(database, changes(), { maxUploadBytes: 1, pendingChange_days: 7 });
  const production = { tenantId: TENANT.id, adapter: 'adapter-7', alias: 'production' };

  it.each<[string, () => Promise<unknown>]>([
    ['adapters', () => adapters().list(TENANT.id, page)],
    ['adapters from the middle', () => adapters().list(TENANT.id, { ...page, after: middle })],
    ['adapters with a rare label', () => adapters().list(TENANT.id, { ...page, label: 'run=run-7' })],
    ['adapters with a common label', () => adapters().list(TENANT.id, { ...page, label: 'env=prod' })],
    ['versions of an adapter', () => versions().list(TENANT.id, 'adapter-7', page)],
    ['versions by state', () => versions().list(TENANT.id, 'adapter-7', { ...page, state: 'ready' })],
    ['versions of all adapters', () => versions().search(TENANT.id, page)],
    ['versions by training job', () => versions().search(TENANT.id, { ...page, training_job: 'job-7' })],
    ['versions by digest', () => versions().search(TENANT.id, { ...page, digest: 'ab'.repeat(32) })],
    ['one version', () => versions().get(TENANT.id, 'adapter-7', 3)],
    ['a lineage', () => new LineageService(database).get(TENANT.id, 'adapter-7', 3, 8)],
    [
      'models',
      () => new CallableModels(database).list(TENANT, { ...page, baseDigest: 'ab', after: 'adapter-5' }),
    ],
    ['aliases', () => aliases().list(TENANT.id, 'adapter-7')],
    ['shares', () => new SharesService(database, changes()).list(TENANT, 'adapter-7', page)],
  ])('to list %s', async (_, call) => {
    expect(await plansOf(call)).toEqual([]);
  });

  it.each([
    ['adapter', { kind: 'default' as const }],
    ['adapter@3', { kind: 'version' as const, version: 3 }],
    ['adapter:production', { kind: 'alias' as const, alias: 'production' }],
  ])('to resolve %s', async (_, selector) => {
    const at = { ownerId: TENANT.id, base: { name: 'base', digest: 'ab' } };
    const resolve = async () => {
      const target = await loadTarget(database.manager, at, { adapter: 'adapter-7', selector });
      expect(target?.routes).toHaveLength(1);
    };
    expect(await plansOf(resolve)).toEqual([]);
  });

  it('to point an alias elsewhere, roll it back, and delete it with a version', async () => {
    const writer = { keyId: 'k' };
    const change = async () => {
      await aliases().set(production, { routes: [{ version: 3, weight: 1 }] }, writer);
      await aliases().set(production, { routes: [{ version: 4, weight: 1 }] }, writer);
      await aliases().rollback(production, writer);
      await aliases().get(production);
      await aliases().remove(production, writer);
      await versions().remove(TENANT.id, 'adapter-7', 10);
      await versions().patch(TENANT.id, 'adapter-7', 9, { parents: ['adapter-7@8'] });
    };
    expect(await plansOf(change)).toEqual([]);
  });

  it('which this test would notice', async () => {
    const whole = () => database.query('SELECT * FROM adapter_versions ORDER BY source');
    expect(await plansOf(whole)).toHaveLength(2);
  });
});
