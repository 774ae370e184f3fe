import { accountsEntities } from '../../dist/libs/accounts/src/accounts.module.js';
import { AdapterChanges } from '../../dist/libs/adapters/src/registry/adapter-changes.js';
import { adaptersEntities } from '../../dist/libs/adapters/src/adapters.module.js';
import { AdaptersService } from '../../dist/libs/adapters/src/registry/adapters.service.js';
import { AliasesService } from '../../dist/libs/adapters/src/aliases/aliases.service.js';
import { CallableModels } from '../../dist/libs/adapters/src/registry/callable-models.service.js';
import { loadTarget } from '../../dist/libs/adapters/src/registry/served-target.js';
import { VersionsService } from '../../dist/libs/adapters/src/registry/versions.service.js';
import { makeLogger } from '../../dist/libs/runtime/src/logger.js';
import { makeDataSource } from '../../dist/libs/stores/src/postgres/data-source.js';
import { storesEntities } from '../../dist/libs/stores/src/stores.module.js';
import { adapterId, adapterName, TENANT, VERSIONS_PER_ADAPTER } from './fill-database.mjs';

/** The API's services on a database, as the benchmark calls them. @param {string} url */
export async function openServices(url) {
  const database = await makeDataSource({
    url,
    poolSize: 2,
    entities: [...storesEntities, ...accountsEntities, ...adaptersEntities],
    logger: makeLogger('bench', 'silent'),
  }).initialize();
  const changes = new AdapterChanges(database);
  // No call of the benchmark deletes, so none needs the ledger of blobs.
  const ledger = /** @type {any} */ (undefined);
  const adapters = new AdaptersService(database, changes, ledger);
  const versions = new VersionsService(database, changes, ledger);
  const aliases = new AliasesService(database, changes);
  const models = new CallableModels(database);

  /** @param {{ adapters: number, random: () => number }} size @returns {Record<string, () => Promise<unknown>>} */
  const calls = ({ adapters: count, random }) => {
    const any = () => 1 + Math.floor(random() * count);
    const page = { limit: 20 };
    const version = () => 1 + Math.floor(random() * VERSIONS_PER_ADAPTER);
    /** @param {import('../../libs/adapters/src/registry/model-reference.js').ModelReference['selector']} selector */
    const resolve = (selector) =>
      loadTarget(database.manager, TENANT.id, { adapter: adapterName(any()), selector });
    const writer = { keyId: 'bench' };
    return {
      'list adapters': () => adapters.list(TENANT.id, page),
      'list adapters from the middle': () => adapters.list(TENANT.id, { ...page, after: adapterId(any()) }),
      'list adapters by a label of one': () =>
        adapters.list(TENANT.id, { ...page, label: `run=run-${any()}` }),
      'list adapters by a label of half of all': () =>
        adapters.list(TENANT.id, { ...page, label: 'env=prod' }),
      'list models': () => models.list(TENANT, { limit: 20, after: adapterName(any()) }),
      'list versions': () => versions.list(TENANT.id, adapterName(any()), page),
      'list versions of all adapters': () => versions.search(TENANT.id, page),
      'find versions by training job': () =>
        versions.search(TENANT.id, { ...page, training_job: `job-${any()}` }),
      'get a version': () => versions.get(TENANT.id, adapterName(any()), version()),
      'resolve adapter': () => resolve({ kind: 'default' }),
      'resolve adapter@3': () => resolve({ kind: 'version', version: version() }),
      'resolve adapter:production': () => resolve({ kind: 'alias', alias: 'production' }),
      'change an alias': () => {
        const address = { tenantId: TENANT.id, adapter: adapterName(any()), alias: 'production' };
        return aliases.set(address, { routes: [{ version: version(), weight: 1 }] }, writer);
      },
      'roll an alias back': async () => {
        const address = { tenantId: TENANT.id, adapter: adapterName(any()), alias: 'staging' };
        for (const each of [1, 2])
          await aliases.set(address, { routes: [{ version: each, weight: 1 }] }, writer);
        return aliases.rollback(address, writer);
      },
    };
  };
  return { calls, close: () => database.destroy() };
}
