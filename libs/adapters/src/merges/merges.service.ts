import { Injectable } from '@nestjs/common';
import type { BaseModel } from '#contracts/base-model.js';
import type { MergeResource, StartMerge } from '#contracts/merges-api.js';
import { type List, listPage, type PageQuery } from '#contracts/resource.js';
import { AppError } from '#runtime/app-error.js';
import { AuditLog } from '#stores/audit/audit-log.service.js';
import { isId, newId } from '#stores/ids.js';
import { Notifications } from '#stores/postgres/notifications.js';
import { DataSource, type EntityManager, type FindOptionsWhere, In, LessThan } from 'typeorm';
import { BlobLedger } from '../blobs/blob-ledger.service.js';
import { StoredFile } from '../blobs/stored-file.entity.js';
import { findVersion, lockAdapter } from '../registry/adapter-rows.js';
import type { AdapterVersion } from '../registry/adapter-version.entity.js';
import { VersionBase } from '../revalidation/version-base.entity.js';
import { Merge } from './merge.entity.js';

/** Wakes the workers that merge. */
export const MERGES_CHANNEL = 'lorikeet_merges';

/** Of a tenant, at once. */
const MAX_OPEN = 4;
/** Of a tenant; older ones go when a new one is ordered. */
const KEPT_ROWS = 100;
const OPEN: readonly Merge['state'][] = ['queued', 'running'];

export interface MergeTarget {
  readonly tenantId: string;
  readonly adapter: string;
  readonly version: number;
  /** That is served. */
  readonly base: Pick<BaseModel, 'name' | 'digest'>;
}

/** Orders to merge versions into the base's weights, and what came of them. The worker computes (MergeStates). */
@Injectable()
export class Merges {
  constructor(
    private readonly database: DataSource,
    private readonly ledger: BlobLedger,
  ) {}

  /** The same order, while it is open or its checkpoint is kept, is the same merge. */
  async start(target: MergeTarget, options: StartMerge): Promise<MergeResource> {
    const { tenantId, base } = target;
    const row = await this.database.transaction(async (manager) => {
      const adapter = await lockAdapter(manager, tenantId, target.adapter);
      const version = await findVersion(manager, adapter, target.version);
      const digest = await digestOn(manager, version, base);
      if (digest === undefined)
        throw new AppError('version_not_ready', {
          message: `${target.adapter}@${target.version} does not answer on the base model "${base.name}" that is served.`,
        });
      const known = await this.#same(manager, { tenantId, digest, options });
      if (known) return known;
      const open = await manager.countBy(Merge, { tenantId, state: In(OPEN) });
      if (open >= MAX_OPEN)
        throw new AppError('conflict', { message: `${MAX_OPEN} merges of the tenant wait or run already.` });
      const { dequantize, any_base: anyBase } = options;
      const made = Object.assign(new Merge(), {
        id: newId(),
        tenantId,
        versionId: version.id,
        adapter: adapter.name,
        version: version.number,
        digest,
        baseModel: base.name,
        baseDigest: base.digest,
        dequantize,
        anyBase,
        dueAt: new Date(),
      });
      await manager.insert(Merge, made);
      await manager.query(FORGET_OLDEST, [tenantId]);
      const subject = { type: 'adapter.version', id: version.id };
      const after = { merge: made.id, base_model: base.name, dequantize, any_base: anyBase };
      await AuditLog.record(manager, { tenantId, action: 'adapter.version.merge', subject, after });
      await Notifications.publish(manager, MERGES_CHANNEL, '');
      return manager.findOneByOrFail(Merge, { id: made.id, tenantId });
    });
    return this.#resource(row);
  }

  /** Newest first. */
  async list(tenantId: string, { limit, after }: PageQuery): Promise<List<MergeResource>> {
    const { manager } = this.database;
    if (after !== undefined && !isId(after))
      throw new AppError('invalid_request', { message: '`after` is no id of this list.', param: 'after' });
    const where: FindOptionsWhere<Merge> = { tenantId };
    if (after !== undefined) where.id = LessThan(after);
    const rows = await manager.find(Merge, { where, order: { id: 'DESC' }, take: limit + 1 });
    return listPage(await resources(manager, rows), limit);
  }

  async get(tenantId: string, id: string): Promise<MergeResource> {
    return this.#resource(await findMerge(this.database.manager, tenantId, id));
  }

  /** The archive of a ready one. Throws conflict where there is none yet, and not_found where it is gone. */
  async archive(tenantId: string, id: string): Promise<StoredFile> {
    const { manager } = this.database;
    const row = await findMerge(manager, tenantId, id);
    if (row.state !== 'ready')
      throw new AppError('conflict', { message: `The merge is ${row.state}: there is no checkpoint.` });
    const file =
      row.fileId === null ? null : await manager.findOneBy(StoredFile, { id: row.fileId, tenantId });
    if (file && isKept(file)) return file;
    throw new AppError('not_found', { message: 'The checkpoint has expired; order the merge again.' });
  }

  /** Ends it where it still runs, and deletes its checkpoint. */
  async remove(tenantId: string, id: string): Promise<void> {
    const freed = await this.database.transaction(async (manager) => {
      const row = await findMerge(manager, tenantId, id);
      const before = { merge: row.id, adapter: row.adapter, version: row.version, state: row.state };
      await manager.delete(Merge, { id, tenantId });
      if (row.fileId !== null) await manager.delete(StoredFile, { id: row.fileId, tenantId });
      const subject = { type: 'merge', id };
      await AuditLog.record(manager, { tenantId, action: 'merge.delete', subject, before });
      return row.sha256;
    });
    // What cannot be freed now, e.g. while a backup runs, a sweep frees.
    if (freed !== null) await this.ledger.free([freed]).catch(() => undefined);
  }

  async #same(
    manager: EntityManager,
    { tenantId, digest, options }: { tenantId: string; digest: string; options: StartMerge },
  ): Promise<Merge | undefined> {
    const { dequantize, any_base: anyBase } = options;
    const rows = await manager.find(Merge, {
      where: { tenantId, digest, dequantize, anyBase },
      order: { id: 'DESC' },
      take: 1,
    });
    const [row] = await resources(manager, rows);
    return row && (row.state === 'queued' || row.state === 'running' || row.state === 'ready')
      ? rows[0]
      : undefined;
  }

  async #resource(row: Merge): Promise<MergeResource> {
    const [resource] = await resources(this.database.manager, [row]);
    if (!resource) throw new Error('one row gives one resource');
    return resource;
  }
}

const FORGET_OLDEST = `
  DELETE FROM merges WHERE tenant_id = $1 AND due_at IS NULL AND file_id IS NULL AND id NOT IN (
    SELECT id FROM merges WHERE tenant_id = $1 ORDER BY id DESC LIMIT ${KEPT_ROWS})`;

/** The version's digest on the base; undefined where it does not answer there. */
async function digestOn(
  manager: EntityManager,
  { id: versionId, tenantId, state, digest, baseDigest }: AdapterVersion,
  base: Pick<BaseModel, 'digest'>,
): Promise<string | undefined> {
  if (state !== 'ready') return undefined;
  if (baseDigest === base.digest) return digest ?? undefined;
  const where = { versionId, tenantId, baseDigest: base.digest, state: 'ready' as const };
  const later = await manager.findOneBy(VersionBase, where);
  return later && later.held === null ? (later.digest ?? undefined) : undefined;
}

async function findMerge(manager: EntityManager, tenantId: string, id: string): Promise<Merge> {
  const row = isId(id) ? await manager.findOneBy(Merge, { id, tenantId }) : null;
  if (!row) throw new AppError('not_found', { message: 'There is no such merge.' });
  return row;
}

function isKept({ expiresAt }: StoredFile): boolean {
  return expiresAt === null || expiresAt.getTime() > Date.now();
}

async function resources(manager: EntityManager, rows: readonly Merge[]): Promise<MergeResource[]> {
  const ids = rows.flatMap(({ fileId }) => (fileId === null ? [] : [fileId]));
  const files = ids.length === 0 ? [] : await manager.findBy(StoredFile, { id: In(ids) });
  const kept = new Set(files.filter(isKept).map(({ id }) => id));
  return rows.map((row) => mergeResource(row, row.fileId !== null && kept.has(row.fileId)));
}

function mergeResource(row: Merge, isThere: boolean): MergeResource {
  return {
    id: row.id,
    object: 'merge',
    adapter: row.adapter,
    version: row.version,
    digest: row.digest,
    base_model: row.baseModel,
    base_digest: row.baseDigest,
    dequantize: row.dequantize,
    any_base: row.anyBase,
    state: row.state === 'ready' && !isThere ? 'expired' : row.state,
    progress: row.totalBytes === null ? null : { done: row.doneBytes, total: row.totalBytes },
    attempts: row.attempts,
    failure: row.failure,
    bytes: row.bytes,
    sha256: row.sha256,
    changed: row.changed,
    created_at: row.createdAt.toISOString(),
    finished_at: row.finishedAt?.toISOString() ?? null,
    expires_at: row.expiresAt?.toISOString() ?? null,
  };
}
