import { Injectable } from '@nestjs/common';
import type { VersionBaseState } from '#contracts/revalidation-api.js';
import { addEvent } from '#stores/outbox/outbox.service.js';
import { DataSource, type EntityManager, In, IsNull, Not } from 'typeorm';
import { BlobLedger } from '../blobs/blob-ledger.service.js';
import { isMadeFile, MANIFEST_FILE, nameForBase } from '../blobs/removal.js';
import { VersionFile } from '../blobs/version-file.entity.js';
import type { Adapter } from '../registry/adapter.entity.js';
import { publishChange } from '../registry/adapter-changes.js';
import { lockAdapter } from '../registry/adapter-rows.js';
import { AdapterVersion } from '../registry/adapter-version.entity.js';
import { requiresBaseMatch } from '../registry/tenant-quotas.js';
import { readVersionResource } from '../registry/version-resources.js';
import { type Accepted, acceptFirst } from '../registry/first-acceptance.js';
import type { IngestCase, Refused, Turn } from '../registry/version-states.service.js';
import { VersionBase } from './version-base.entity.js';

const UNSETTLED: readonly VersionBaseState[] = ['waiting', 'validating'];

/** One version against one base. */
export interface BaseCase {
  readonly versionId: string;
  readonly baseDigest: string;
}

/**
 * The worker's side of a revalidation: `waiting -> validating -> ready | rejected`, each step in one transaction. The
 * version itself, as it was judged on its first base, stays as it is.
 */
@Injectable()
export class RevalidationStates {
  constructor(
    private readonly database: DataSource,
    private readonly ledger: BlobLedger,
  ) {}

  /** Begins, or begins again after a crash; undefined when it is settled, or its version deleted. */
  async begin(key: BaseCase): Promise<IngestCase | undefined> {
    return this.database.transaction(async (manager) => {
      const found = await lockUnsettled(manager, key);
      if (!found) return undefined;
      const { row, version } = found;
      const attempt = row.attempts + 1;
      await manager.update(VersionBase, keyOf(row), { state: 'validating', attempts: attempt });
      const { id: versionId, tenantId } = version;
      const files = await manager.find(VersionFile, { where: { versionId, tenantId } });
      const sent = files.filter(({ name }) => !isMadeFile(name));
      return {
        versionId,
        attempt,
        leftOut: version.leftOut,
        mustMatchBase: version.requireBaseMatch || (await requiresBaseMatch(manager, tenantId)),
        files: new Map(sent.map(({ name, sha256, bytes }) => [name, { sha256, bytes }])),
      };
    });
  }

  /**
   * Lets the version answer on the base, unless a move holds it back. One that was rejected when it came becomes ready by it,
   * with this base as its first. False when it was deleted meanwhile.
   */
  async ready(key: BaseCase, accepted: Accepted): Promise<boolean> {
    return this.#settle(key, async (manager, { version, adapter }) => {
      if (version.state === 'rejected') {
        await acceptFirst(manager, this.ledger, { version, adapter }, accepted);
        return 'adopted';
      }
      const { manifest, made, report, parity } = accepted;
      const { id: versionId, tenantId } = version;
      const files = [[MANIFEST_FILE, manifest] as const, ...made];
      const named = files.map(([name, info]) => ({ name: nameForBase(name, key.baseDigest), ...info }));
      await this.ledger.record(
        manager,
        named.map((file) => ({ versionId, tenantId, ...file })),
        { own: true },
      );
      return { state: 'ready', digest: manifest.sha256, report, parity: parity ?? null };
    });
  }

  /** Tells why the version cannot answer on the base. */
  async reject(key: BaseCase, { report, parity }: Refused): Promise<boolean> {
    return this.#settle(key, async () => ({ state: 'rejected', report, parity: parity ?? null }));
  }

  /** Gives it up because validation itself cannot be finished. */
  async giveUp(key: BaseCase, failure: string): Promise<boolean> {
    return this.#settle(key, async () => ({ state: 'rejected', failure }));
  }

  /** Lets one that was given up be validated anew; false when it is none. */
  async reopen(key: BaseCase): Promise<boolean> {
    const where = { ...keyOf(key), state: 'rejected' as const, failure: Not(IsNull()) };
    const change = { state: 'waiting' as const, failure: null, attempts: 0, judgedAt: null };
    const { affected } = await this.database.manager.update(VersionBase, where, change);
    return affected === 1;
  }

  /** What still has work before it on this base, with its turns: each tenant's first, then each one's second, ... */
  async unsettled(baseDigest: string, limit: number): Promise<Turn[]> {
    return this.database.query<Turn[]>(
      `SELECT version_id AS "versionId",
         (row_number() OVER (PARTITION BY tenant_id ORDER BY version_id))::integer AS turn
       FROM version_bases WHERE base_digest = $1 AND state IN ('waiting', 'validating')
       ORDER BY turn, version_id LIMIT $2`,
      [baseDigest, limit],
    );
  }

  async #settle(
    key: BaseCase,
    judge: (manager: EntityManager, found: Found) => Promise<Judgement | 'adopted'>,
  ): Promise<boolean> {
    return this.database.transaction(async (manager) => {
      const found = await lockUnsettled(manager, key);
      if (!found) return false;
      const judgement = await judge(manager, found);
      if (judgement === 'adopted') await manager.delete(VersionBase, keyOf(key));
      else await manager.update(VersionBase, keyOf(key), { ...judgement, judgedAt: new Date() });
      const { adapter } = found;
      const { id, tenantId } = found.version;
      const version = await manager.findOneByOrFail(AdapterVersion, { id, tenantId });
      const payload = await readVersionResource(manager, adapter.name, version);
      const type = judgement === 'adopted' ? 'adapter.version.ready' : 'adapter.version.revalidated';
      await addEvent(manager, { tenantId, type, payload });
      await publishChange(manager, { tenant: tenantId, adapter: adapter.name, version: version.id });
      return true;
    });
  }
}

type Judgement = { readonly state: 'ready' | 'rejected' } & Partial<
  Pick<VersionBase, 'digest' | 'report' | 'parity' | 'failure'>
>;

interface Found {
  readonly row: VersionBase;
  readonly version: AdapterVersion;
  readonly adapter: Adapter;
}

/** Locks the adapter first, as everyone who changes it does. */
async function lockUnsettled(manager: EntityManager, key: BaseCase): Promise<Found | undefined> {
  const where = { id: key.versionId };
  const version = await manager.findOne(AdapterVersion, { where, relations: { adapter: true } });
  if (!version?.adapter) return undefined;
  const adapter = await lockAdapter(manager, version.tenantId, version.adapter.name).catch(() => undefined);
  const row = await manager.findOneBy(VersionBase, { ...keyOf(key), state: In(UNSETTLED) });
  return adapter && row ? { row, version, adapter } : undefined;
}

function keyOf({ versionId, baseDigest }: BaseCase): BaseCase {
  return { versionId, baseDigest };
}
