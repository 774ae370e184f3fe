import { Injectable, type OnApplicationShutdown, type OnModuleInit } from '@nestjs/common';
import { EVERYONE } from '#contracts/shares-api.js';
import { AppError } from '#runtime/app-error.js';
import { FRESH_MS } from '#stores/fresh-time.js';
import { asDependencyError } from '#stores/postgres/database-error.js';
import { Notifications } from '#stores/postgres/notifications.js';
import { ReadCache } from '#stores/read-cache.js';
import { DataSource, In } from 'typeorm';
import { AdapterChanges, type AdapterChangeNote, ADAPTERS_CHANNEL, parseChange } from './adapter-changes.js';
import { AdapterShare } from './adapter-share.entity.js';
import { Adapter } from './adapter.entity.js';
import { type ModelReference, parseModelReference } from './model-reference.js';
import { chooseRoute, stickyPoint } from '../aliases/route-choice.js';
import {
  type AskedBase,
  loadTarget,
  notReady,
  type ResolvedVersion,
  type ServedVersion,
  type Target,
} from './served-target.js';
import { findActiveTenant, type TenantName } from './tenant-names.js';

export type { ResolvedVersion } from './served-target.js';

const CACHE = { fresh_ms: FRESH_MS, stale_ms: 15 * 60_000, limit: 50_000 };

/** From the `model` of a request to the version that serves it. */
@Injectable()
export class ModelResolver implements OnModuleInit, OnApplicationShutdown {
  readonly #targets = new ReadCache<Target>(CACHE);
  readonly #grants = new ReadCache<{ granted: true }>(CACHE);
  readonly #owners = new ReadCache<TenantName>(CACHE);
  readonly #unsubscribe: (() => void)[] = [];

  constructor(
    private readonly database: DataSource,
    private readonly notifications: Notifications,
    private readonly changes: AdapterChanges,
  ) {}

  onModuleInit(): void {
    this.#unsubscribe.push(
      this.changes.subscribe((note) => this.#forget(note)),
      this.notifications.subscribe(ADAPTERS_CHANNEL, {
        changed: (payload) => this.#forget(parseChange(payload)),
        missed: () => {
          this.#targets.expireAll();
          this.#grants.expireAll();
          this.#owners.expireAll();
        },
      }),
    );
  }

  onApplicationShutdown(): void {
    for (const unsubscribe of this.#unsubscribe) unsubscribe();
  }

  /**
   * The version that answers on the base that is served. Throws model_not_found, or version_not_ready where the adapter
   * is there but cannot be called.
   */
  async resolve(
    tenantId: string,
    {
      model,
      user,
      base,
    }: { readonly model: string; readonly user?: string | undefined; readonly base: AskedBase },
  ): Promise<ResolvedVersion> {
    const reference = parseModelReference(model);
    let target: Target | undefined;
    try {
      target = reference && (await this.#find(tenantId, reference, base));
    } catch (error) {
      throw asDependencyError(error);
    }
    if (!reference || !target) throw noModel(model);
    const point =
      user === undefined
        ? Math.random()
        : stickyPoint(`${reference.adapter}:${target.alias?.name ?? ''}`, user);
    const { version } = chooseRoute(target.routes, point);
    if ('silent' in version) {
      const leads = `${reference.adapter}@${version.version}`;
      const { alias } = target;
      const subject = alias ? `${model} leads by the alias \`${alias.name}\` to ${leads}, which` : leads;
      throw notReady(`${subject} ${version.silent}${reference.tenant === undefined ? version.toOwner : ''}`);
    }
    return { ...version, alias: target.alias, callName: callName(tenantId, version, reference) };
  }

  #forget({ tenant, adapter }: AdapterChangeNote): void {
    const group = groupOf(tenant, adapter);
    this.#targets.forgetGroup(group);
    this.#grants.forgetGroup(group);
  }

  async #find(tenantId: string, reference: ModelReference, base: AskedBase): Promise<Target | undefined> {
    const ownerId = await this.#ownerOf(tenantId, reference);
    if (ownerId === undefined) return undefined;
    const group = groupOf(ownerId, reference.adapter);
    // Before anything of the adapter is looked at: who may not call it learns nothing of its state either.
    if (ownerId !== tenantId && !(await this.#isGranted(group, ownerId, tenantId, reference.adapter)))
      return undefined;
    const key = `${group} ${base.digest}${base.heldToo ? '+held' : ''} ${JSON.stringify(reference.selector)}`;
    const load = () => loadTarget(this.database.manager, { ownerId, base }, reference);
    return this.#targets.get(key, load, group);
  }

  /** The id of the tenant that the reference names; undefined when there is none that is active. */
  async #ownerOf(tenantId: string, { tenant: name }: ModelReference): Promise<string | undefined> {
    if (name === undefined) return tenantId;
    return (await this.#owners.get(name, () => findActiveTenant(this.database, name)))?.id;
  }

  async #isGranted(group: string, ownerId: string, tenantId: string, adapter: string): Promise<boolean> {
    const load = async () => {
      const granted = await this.database.manager
        .createQueryBuilder(AdapterShare, 'share')
        .innerJoin(
          Adapter,
          'adapter',
          'adapter.id = share.adapter_id AND adapter.tenant_id = share.tenant_id',
        )
        .where('adapter.tenant_id = :ownerId AND adapter.name = :adapter', { ownerId, adapter })
        .andWhere({ grantee: In([tenantId, EVERYONE]) })
        .getExists();
      return granted ? { granted: true as const } : undefined;
    };
    return (await this.#grants.get(`${group} ${tenantId}`, load, group)) !== undefined;
  }
}

/** Everything cached of one adapter; names hold no space. */
function groupOf(ownerId: string, adapter: string): string {
  return `${ownerId} ${adapter}`;
}

/** The adapter's name as this caller writes it: another tenant's is never mixed up with one's own. */
function callName(tenantId: string, version: ServedVersion, reference: ModelReference): string {
  return version.ownerTenant === tenantId ? version.adapter : `${reference.tenant}/${version.adapter}`;
}

function noModel(model: string): AppError {
  return new AppError('model_not_found', {
    message: `The model \`${model.slice(0, 300)}\` does not exist or you do not have access to it.`,
    param: 'model',
  });
}
