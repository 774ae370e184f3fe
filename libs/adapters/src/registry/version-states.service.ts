import { Injectable } from '@nestjs/common';
import type { VersionState } from '#contracts/adapters-api.js';
import type { BlobInfo } from '#stores/blobs/blob-store.js';
import type { Queryable } from '#stores/postgres/notifications.js';
import { addEvent } from '#stores/outbox/outbox.service.js';
import { DataSource, type EntityManager, In, IsNull, Not } from 'typeorm';
import { Adapter } from './adapter.entity.js';
import { publishChange } from './adapter-changes.js';
import { lockAdapter } from './adapter-rows.js';
import { AdapterVersion } from './adapter-version.entity.js';
import { type Accepted, acceptFirst } from './first-acceptance.js';
import { BlobLedger } from '../blobs/blob-ledger.service.js';
import { VersionFile } from '../blobs/version-file.entity.js';
import { requiresBaseMatch } from './tenant-quotas.js';
import { readVersionResource } from './version-resources.js';

/** States whose files are there and that still have work before them. */
const UNSETTLED: readonly VersionState[] = ['uploaded', 'validating'];
const IMPORTING: readonly VersionState[] = ['importing'];

/** An unsettled version as a worker takes it up. */
export interface IngestCase {
  readonly versionId: string;
  /** How often its validation was begun, this time included. */
  readonly attempt: number;
  readonly files: ReadonlyMap<string, BlobInfo>;
  readonly leftOut: readonly string[];
  /** Its upload or its tenant refuses an adapter whose config does not name the base that is served. */
  readonly mustMatchBase: boolean;
}

export type Refused = Omit<Accepted, 'manifest' | 'made'>;

/** The worker's side of a version's life: `uploaded -> validating -> ready | rejected`, each step in one transaction. */
@Injectable()
export class VersionStates {
  constructor(
    private readonly database: DataSource,
    private readonly ledger: BlobLedger,
  ) {}

  /** Begins, or begins again after a crash; undefined when the version is settled or deleted. */
  async begin(versionId: string): Promise<IngestCase | undefined> {
    return this.database.transaction(async (manager) => {
      const found = await lockInState(manager, versionId, UNSETTLED);
      if (!found) return undefined;
      const attempt = found.version.attempts + 1;
      await manager.update(AdapterVersion, { id: versionId }, { state: 'validating', attempts: attempt });
      const { tenantId } = found.version;
      await publishChange(manager, { tenant: tenantId, adapter: found.adapter.name, version: versionId });
      const files = await manager.find(VersionFile, { where: { versionId, tenantId } });
      return {
        versionId,
        attempt,
        leftOut: found.version.leftOut,
        mustMatchBase: found.version.requireBaseMatch || (await requiresBaseMatch(manager, tenantId)),
        files: new Map(files.map(({ name, sha256, bytes }) => [name, { sha256, bytes }])),
      };
    });
  }

  /** Makes the version callable, and `latest` follow. False when it was deleted meanwhile. */
  async ready(versionId: string, accepted: Accepted): Promise<boolean> {
    return this.#settle(versionId, (manager, found) => acceptFirst(manager, this.ledger, found, accepted));
  }

  /** Refuses the version for what stands in its report. */
  async reject(versionId: string, { base, report, parity }: Refused): Promise<boolean> {
    return this.#settle(versionId, async (manager) => {
      await manager.update(
        AdapterVersion,
        { id: versionId },
        {
          state: 'rejected',
          report,
          warnings: report.warnings,
          parity: parity ?? null,
          baseModel: base.name,
        },
      );
    });
  }

  /** Gives the version up because validation itself cannot be finished. */
  async giveUp(versionId: string, failure: string): Promise<boolean> {
    return this.#settle(versionId, async (manager) => {
      await manager.update(AdapterVersion, { id: versionId }, { state: 'rejected', failure });
    });
  }

  /** Gives the version up because its files could not be fetched; `also` is part of the transaction. */
  async giveUpImport(
    versionId: string,
    failure: string,
    also: (manager: EntityManager) => Promise<void>,
  ): Promise<boolean> {
    const change = async (manager: EntityManager): Promise<void> => {
      await manager.update(AdapterVersion, { id: versionId }, { state: 'rejected', failure });
      await also(manager);
    };
    return this.#settle(versionId, change, IMPORTING);
  }

  /** Lets a version that was given up be validated anew; false when it is none. */
  async reopen(versionId: string): Promise<boolean> {
    return this.database.transaction(async (manager) => {
      const where = { id: versionId, state: 'rejected' as const, failure: Not(IsNull()) };
      const row = await manager.findOne(AdapterVersion, { where, relations: { adapter: true } });
      if (!row?.adapter || !(await manager.existsBy(VersionFile, { versionId }))) return false;
      await manager.update(AdapterVersion, where, { state: 'uploaded', failure: null, attempts: 0 });
      const { tenantId, adapter } = row;
      await publishChange(manager, { tenant: tenantId, adapter: adapter.name, version: versionId });
      return true;
    });
  }

  /** Versions that still have work before them, with their turns: each tenant's first, then each one's second, ... */
  async unsettled(limit: number): Promise<Turn[]> {
    return this.database.query<Turn[]>(
      `SELECT id AS "versionId", (row_number() OVER (PARTITION BY tenant_id ORDER BY id))::integer AS turn
       FROM adapter_versions WHERE state = ANY($1) ORDER BY turn, id LIMIT $2`,
      [UNSETTLED, limit],
    );
  }

  /** Whose version it is; undefined when it is gone. */
  async tenantOf(versionId: string): Promise<string | undefined> {
    const rows = await this.database.query<{ tenant_id: string }[]>(
      'SELECT tenant_id FROM adapter_versions WHERE id = $1',
      [versionId],
    );
    return rows[0]?.tenant_id;
  }

  /** The version of the same tenant that has waited longest; undefined when none waits. */
  async nextOfTenant(versionId: string): Promise<string | undefined> {
    const rows = await this.database.query<{ id: string }[]>(
      `SELECT next.id FROM adapter_versions this JOIN adapter_versions next ON next.tenant_id = this.tenant_id
       WHERE this.id = $1 AND next.state = 'uploaded' ORDER BY next.id LIMIT 1`,
      [versionId],
    );
    return rows[0]?.id;
  }

  async #settle(
    versionId: string,
    change: (manager: EntityManager, found: Found) => Promise<void>,
    states = UNSETTLED,
  ): Promise<boolean> {
    return this.database.transaction(async (manager) => {
      const found = await lockInState(manager, versionId, states);
      if (!found) return false;
      await change(manager, found);
      const { tenantId } = found.version;
      await this.#tell(manager, found);
      await publishChange(manager, { tenant: tenantId, adapter: found.adapter.name, version: versionId });
      return true;
    });
  }

  async #tell(manager: EntityManager, { version: { id, tenantId }, adapter }: Found): Promise<void> {
    const row = await manager.findOneByOrFail(AdapterVersion, { id, tenantId });
    const payload = await readVersionResource(manager, adapter.name, row);
    const type = row.state === 'ready' ? 'adapter.version.ready' : 'adapter.version.rejected';
    await addEvent(manager, { tenantId, type, payload });
  }
}

/** When a version's job comes: one tenant's thousand uploads do not stand before another's one. */
export interface Turn {
  readonly versionId: string;
  readonly turn: number;
}

/** The turn of one more job of a tenant, by how many of its versions have work before them. */
export async function nextTurn(database: Queryable, tenantId: string): Promise<number> {
  const [row] = (await database.query(
    `SELECT count(*)::integer AS waiting FROM (
       SELECT 1 FROM adapter_versions WHERE tenant_id = $1 AND state = ANY($2) LIMIT 100000) AS unsettled`,
    [tenantId, [...IMPORTING, ...UNSETTLED]],
  )) as { waiting: number }[];
  return Math.max(1, row?.waiting ?? 1);
}

interface Found {
  readonly version: AdapterVersion;
  readonly adapter: Adapter;
}

/** Locks the adapter first, as everyone who changes it does, then reads the version. */
async function lockInState(
  manager: EntityManager,
  versionId: string,
  states: readonly VersionState[],
): Promise<Found | undefined> {
  const row = await manager.findOne(AdapterVersion, {
    where: { id: versionId },
    relations: { adapter: true },
  });
  if (!row?.adapter) return undefined;
  const adapter = await lockAdapter(manager, row.tenantId, row.adapter.name).catch(() => undefined);
  const version = await manager.findOne(AdapterVersion, { where: { id: versionId, state: In(states) } });
  return adapter && version ? { adapter, version } : undefined;
}
