import { Inject, Injectable } from '@nestjs/common';
import type { AliasList, AliasWithHistory, PutAlias } from '#contracts/adapters-api.js';
import type { GuardBreach } from '#contracts/alias-trials.js';
import type { PendingChange } from '#contracts/pending-changes-api.js';
import { AppError } from '#runtime/app-error.js';
import type { SettingsOf } from '#runtime/settings.js';
import { DataSource } from 'typeorm';
import { Adapter } from '../registry/adapter.entity.js';
import { AdapterChanges } from '../registry/adapter-changes.js';
import { findAdapter, lockAdapter } from '../registry/adapter-rows.js';
import { aliasResource } from '../registry/resources.js';
import { Alias } from './alias.entity.js';
import { type AliasOrder, carryOut, isProtected, withHistory } from './alias-orders.js';
import { type AliasPrecondition, checkPrecondition } from './alias-precondition.js';
import { AliasProtection } from './alias-protection.entity.js';
import { LATEST } from './alias-routes.js';
import { findAlias } from './alias-rows.js';
import type { Figures } from './figures.js';
import { breachOf } from './guard-rule.js';
import { requestChange } from './pending-alias-change.js';
import { ADAPTERS_SETTINGS, type adaptersSettings } from '../settings.js';

/** Which adapter's alias. */
export interface AliasAddress {
  readonly tenantId: string;
  readonly adapter: string;
  readonly alias: string;
}

/** Who changes it, and what they expect to find. */
export interface AliasWriter {
  readonly keyId: string;
  readonly expected?: AliasPrecondition | undefined;
}

/** What became of an order: done (null: the alias is gone), or waiting for a second key. */
export type AliasOutcome<T extends AliasWithHistory | null> =
  | { readonly kind: 'done'; readonly alias: T }
  | { readonly kind: 'pending'; readonly change: PendingChange };

@Injectable()
export class AliasesService {
  constructor(
    private readonly database: DataSource,
    private readonly changes: AdapterChanges,
    @Inject(ADAPTERS_SETTINGS) private readonly settings: SettingsOf<typeof adaptersSettings>,
  ) {}

  async list(tenantId: string, adapterName: string): Promise<AliasList> {
    const { manager } = this.database;
    const adapter = await findAdapter(manager, tenantId, adapterName);
    const where = { tenantId, adapterId: adapter.id };
    const rows = await manager.find(Alias, { where, order: { name: 'ASC' } });
    const guarded = new Set((await manager.find(AliasProtection, { where })).map(({ alias }) => alias));
    const data = rows.map((row) => ({
      ...aliasResource(adapterName, row),
      protected: guarded.has(row.name),
    }));
    return { object: 'list', data, has_more: false, last_id: data.at(-1)?.name ?? null };
  }

  async get({ tenantId, adapter: name, alias }: AliasAddress): Promise<AliasWithHistory> {
    const { manager } = this.database;
    const adapter = await findAdapter(manager, tenantId, name);
    return withHistory(manager, adapter, await findAlias(manager, adapter, alias));
  }

  /** Points the alias at these versions, all at once; each must be ready. */
  async set(
    address: AliasAddress,
    change: PutAlias,
    writer: AliasWriter,
  ): Promise<AliasOutcome<AliasWithHistory>> {
    return present(await this.#order(address, { kind: 'set', change }, writer));
  }

  /**
   * Goes back to where the alias pointed before; again, one step further. Shadow and guard end. `emergency`: why a
   * protected alias shall not wait for a second key; what it goes back to has been approved once.
   */
  async rollback(
    address: AliasAddress,
    writer: AliasWriter & { emergency?: string | undefined },
  ): Promise<AliasOutcome<AliasWithHistory>> {
    return present(await this.#order(address, { kind: 'rollback' }, writer));
  }

  /** Takes the alias away; its history goes on when it is set again. */
  remove(address: AliasAddress, writer: AliasWriter): Promise<AliasOutcome<AliasWithHistory | null>> {
    return this.#order(address, { kind: 'delete' }, writer);
  }

  /** Goes back when a guarded version has broken a bound and nobody has moved the alias meanwhile; protected or not. */
  async rollbackOnBreach(
    { tenantId, adapterId, alias, revision }: BrokenAlias,
    figures: ReadonlyMap<number, Figures>,
  ): Promise<GuardBreach | undefined> {
    const { manager } = this.database;
    const where = { tenantId, adapterId, name: alias, revision };
    const guard = (await manager.findOne(Alias, { where }))?.guard;
    const breach = guard ? breachOf(guard, figures) : undefined;
    const adapter = breach && (await manager.findOne(Adapter, { where: { tenantId, id: adapterId } }));
    if (!breach || !adapter) return undefined;
    const expected = { kind: 'revision', revision } as const;
    try {
      await this.#order(
        { tenantId, adapter: adapter.name, alias },
        { kind: 'guard', breach },
        { keyId: null, expected },
      );
      return breach;
    } catch (error) {
      if (error instanceof AppError && GONE.has(error.code)) return undefined;
      throw error;
    }
  }

  #request(keyId: string | null) {
    return { keyId: keyId ?? '', lifetime_days: this.settings.pendingChange_days };
  }

  async #order(
    { tenantId, adapter: name, alias }: AliasAddress,
    order: AliasOrder,
    {
      keyId,
      expected,
      emergency,
    }: Omit<AliasWriter, 'keyId'> & { keyId: string | null; emergency?: string | undefined },
  ): Promise<AliasOutcome<AliasWithHistory | null>> {
    if (alias === LATEST) throw automatic();
    return this.changes.commit({ tenant: tenantId, adapter: name }, async (manager) => {
      const adapter = await lockAdapter(manager, tenantId, name);
      const where = { tenantId, adapterId: adapter.id, name: alias };
      const current = await manager.findOne(Alias, { where });
      if (order.kind === 'delete' && !current) await findAlias(manager, adapter, alias);
      checkPrecondition(current, expected);
      const held = { manager, adapter, alias, current };
      const guarded = await isProtected(manager, adapter, alias);
      if (order.kind !== 'guard' && guarded && emergency === undefined)
        return { kind: 'pending', change: await requestChange(held, order, this.#request(keyId)) };
      const row = await carryOut(held, order, { keyId, emergency: guarded ? emergency : undefined });
      return { kind: 'done', alias: row ? await withHistory(manager, adapter, row) : null };
    });
  }
}

interface BrokenAlias {
  readonly tenantId: string;
  readonly adapterId: string;
  readonly alias: string;
  readonly revision: number;
}

/** Somebody else was first. */
const GONE: ReadonlySet<string> = new Set(['precondition_failed', 'not_found']);

function present(outcome: AliasOutcome<AliasWithHistory | null>): AliasOutcome<AliasWithHistory> {
  if (outcome.kind === 'pending') return outcome;
  if (!outcome.alias) throw new Error('an alias that was moved is there');
  return { kind: 'done', alias: outcome.alias };
}

export function automatic(): AppError {
  return new AppError('conflict', {
    message: `\`${LATEST}\` follows the newest ready version by itself; set another alias such as \`production\`.`,
  });
}
