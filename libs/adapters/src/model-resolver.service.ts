import { Injectable, type OnApplicationShutdown, type OnModuleInit } from '@nestjs/common';
import { AppError } from '#runtime/app-error.js';
import { asDependencyError } from '#stores/postgres/database-error.js';
import { Notifications } from '#stores/postgres/notifications.js';
import { ReadCache } from '#stores/read-cache.js';
import { DataSource, In } from 'typeorm';
import { Adapter } from './adapter.entity.js';
import { ADAPTERS_CHANNEL, parseChange } from './adapter-changes.js';
import { AdapterVersion } from './adapter-version.entity.js';
import { Alias } from './alias.entity.js';
import { LATEST, PRODUCTION } from './alias-routes.js';
import { type ModelReference, parseModelReference } from './model-reference.js';
import { chooseRoute, stickyPoint } from './route-choice.js';

export interface ResolvedVersion {
  readonly versionId: string;
  readonly adapterId: string;
  readonly ownerTenant: string;
  /** The adapter's name. */
  readonly adapter: string;
  readonly version: number;
  readonly digest: string;
  readonly baseDigest: string;
}

/** Where a reference leads: one version, or several with weights. */
interface Target {
  /** Makes a user's choice independent from one alias to the next. */
  readonly alias: string;
  readonly routes: readonly { readonly weight: number; readonly version: ResolvedVersion }[];
}

const CACHE = { fresh_ms: 5_000, stale_ms: 15 * 60_000, limit: 50_000 };

/** From the `model` of a request to the version that serves it. */
@Injectable()
export class ModelResolver implements OnModuleInit, OnApplicationShutdown {
  readonly #targets = new ReadCache<Target>(CACHE);
  #unsubscribe: () => void = () => undefined;

  constructor(
    private readonly database: DataSource,
    private readonly notifications: Notifications,
  ) {}

  onModuleInit(): void {
    this.#unsubscribe = this.notifications.subscribe(ADAPTERS_CHANNEL, {
      changed: (payload) => {
        const { tenant, adapter } = parseChange(payload);
        const prefix = keyPrefix(tenant, adapter);
        this.#targets.forgetWhere((key) => key.startsWith(prefix));
      },
      missed: () => this.#targets.expireAll(),
    });
  }

  onApplicationShutdown(): void {
    this.#unsubscribe();
  }

  /** Throws model_not_found, or version_not_ready where the adapter is there but cannot be called yet. */
  async resolve(tenantId: string, model: string, user: string | undefined): Promise<ResolvedVersion> {
    const reference = parseModelReference(model);
    if (!reference) throw noModel(model);
    const key = keyPrefix(tenantId, reference.adapter) + model;
    let target: Target | undefined;
    try {
      target = await this.#targets.get(key, () => this.#load(tenantId, reference, model));
    } catch (error) {
      throw asDependencyError(error);
    }
    if (!target) throw noModel(model);
    const point =
      user === undefined ? Math.random() : stickyPoint(`${reference.adapter}:${target.alias}`, user);
    return chooseRoute(target.routes, point).version;
  }

  /** Adapters with a ready version that the tenant may call, by name. */
  async listCallable(tenantId: string): Promise<readonly { name: string; createdAt: Date }[]> {
    try {
      return await this.database
        .createQueryBuilder(Adapter, 'adapter')
        .innerJoin(Alias, 'alias', 'alias.adapter_id = adapter.id AND alias.name = :latest', {
          latest: LATEST,
        })
        .where('adapter.tenant_id = :tenantId', { tenantId })
        .orderBy('adapter.name')
        .getMany();
    } catch (error) {
      throw asDependencyError(error);
    }
  }

  async #load(tenantId: string, reference: ModelReference, model: string): Promise<Target | undefined> {
    const { manager } = this.database;
    if (reference.tenant !== undefined && !(await this.#isNamed(tenantId, reference.tenant)))
      return undefined;
    const adapter = await manager.findOne(Adapter, { where: { tenantId, name: reference.adapter } });
    if (!adapter) return undefined;
    const { selector } = reference;
    if (selector.kind === 'version') {
      const where = { tenantId, adapterId: adapter.id, number: selector.version };
      const version = await manager.findOne(AdapterVersion, { where, select: SERVED_COLUMNS });
      if (!version) return undefined;
      return { alias: '', routes: [{ weight: 1, version: served(adapter, version, model) }] };
    }
    const names = selector.kind === 'alias' ? [selector.alias] : [PRODUCTION, LATEST];
    const aliases = await manager.find(Alias, {
      where: { tenantId, adapterId: adapter.id, name: In(names) },
    });
    const alias = names
      .map((name) => aliases.find((row) => row.name === name))
      .find((row) => row !== undefined);
    if (!alias) {
      if (selector.kind === 'alias' && selector.alias !== LATEST) return undefined;
      throw notReady(`The adapter ${reference.adapter} has no version that is ready.`);
    }
    return this.#targetOf(adapter, alias, model);
  }

  async #targetOf(adapter: Adapter, alias: Alias, model: string): Promise<Target> {
    const rows = await this.database.manager.find(AdapterVersion, {
      where: {
        tenantId: adapter.tenantId,
        adapterId: adapter.id,
        number: In(alias.routes.map(({ version }) => version)),
      },
      select: SERVED_COLUMNS,
    });
    const routes = alias.routes.flatMap(({ version: number, weight }) => {
      const row = rows.find((candidate) => candidate.number === number);
      return row ? [{ weight, version: served(adapter, row, model) }] : [];
    });
    // Routes and versions were read one after the other; a deletion may have come in between.
    if (routes.length === 0) throw notReady(`${model} is being changed; try again.`);
    return { alias: alias.name, routes };
  }

  async #isNamed(tenantId: string, name: string): Promise<boolean> {
    const rows: unknown[] = await this.database.query('SELECT 1 FROM tenants WHERE id = $1 AND name = $2', [
      tenantId,
      name,
    ]);
    return rows.length > 0;
  }
}

const SERVED_COLUMNS = { id: true, number: true, state: true, digest: true, baseDigest: true } as const;

/** The start of every cache key of one adapter; names hold no space. */
function keyPrefix(tenantId: string, adapter: string): string {
  return `${tenantId} ${adapter} `;
}

function served(adapter: Adapter, version: AdapterVersion, model: string): ResolvedVersion {
  const { id, number, state, digest, baseDigest } = version;
  if (state !== 'ready' || digest === null || baseDigest === null) {
    throw notReady(`Version ${number} of ${model.replace(/@.*$/, '')} is ${state}.`);
  }
  return {
    versionId: id,
    adapterId: adapter.id,
    ownerTenant: adapter.tenantId,
    adapter: adapter.name,
    version: number,
    digest,
    baseDigest,
  };
}

function noModel(model: string): AppError {
  return new AppError('model_not_found', {
    message: `The model \`${model.slice(0, 300)}\` does not exist or you do not have access to it.`,
    param: 'model',
  });
}

function notReady(message: string): AppError {
  return new AppError('version_not_ready', { message, param: 'model' });
}
