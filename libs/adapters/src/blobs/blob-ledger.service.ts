import { Inject, Injectable } from '@nestjs/common';
import { AppError } from '#runtime/app-error.js';
import type { BlobStore } from '#stores/blobs/blob-store.js';
import { BLOBS } from '#stores/stores.module.js';
import { DataSource, type EntityManager, In, LessThanOrEqual } from 'typeorm';
import { ReleasedFile } from './released-file.entity.js';
import { SERVED_DIGESTS } from './removal.js';
import { StoredFile } from './stored-file.entity.js';
import { withinByteQuota } from '../registry/tenant-quotas.js';
import { UploadPart } from '../resumable/upload-part.entity.js';
import { VersionFile } from './version-file.entity.js';

/** Bytes of an upload that is still running have no owner yet; a sweep spares what was put so recently. */
const SWEEP_AGE_MS = 24 * 3600_000;

/**
 * Keeps the blob store and the rows that name its blobs in agreement: the same bytes are stored once for all versions
 * of all tenants, so a blob goes only with its last row. Recording and freeing one blob exclude each other by an
 * advisory lock on its hash.
 */
@Injectable()
export class BlobLedger {
  constructor(
    private readonly database: DataSource,
    @Inject(BLOBS) private readonly blobs: BlobStore,
  ) {}

  /**
   * Records files of one tenant in the caller's transaction. Throws (retryable) when one was freed since it was put, and
   * quota_exceeded when the tenant may not store so much; what we make `own` of an upload, such as its manifest, always may.
   */
  async record(
    manager: EntityManager,
    files: readonly Omit<VersionFile, 'version'>[],
    { own = false } = {},
  ): Promise<void> {
    for (const sha256 of [...new Set(files.map((file) => file.sha256))].sort())
      await this.#keep(manager, sha256);
    const [uploaded] = files;
    const store = () => manager.insert(VersionFile, [...files]);
    if (uploaded && !own) await withinByteQuota(manager, uploaded.tenantId, store);
    else await store();
  }

  /** The same of a file that belongs to no version; what we make ourselves (`own`) is stored whatever the quota says. */
  async recordFile(manager: EntityManager, file: StoredFile, { own = false } = {}): Promise<void> {
    await this.#keep(manager, file.sha256);
    const store = () => manager.insert(StoredFile, file);
    if (own) await store();
    else await withinByteQuota(manager, file.tenantId, store);
  }

  async #keep(manager: EntityManager, sha256: string): Promise<void> {
    await lockBlob(manager, sha256);
    if (await this.blobs.stat(sha256)) return;
    throw new AppError('dependency_unavailable', {
      message: 'The same bytes were being deleted at this moment; send them again.',
      retryAfter_s: 1,
    });
  }

  /**
   * Keeps the files of versions that are about to be deleted, in the same transaction, for the requests that still
   * run with them.
   */
  async release(manager: EntityManager, where: ReleasedVersions): Promise<void> {
    await manager.query(
      `INSERT INTO released_files (id, sha256, digest, released_at)
       SELECT gen_random_uuid(), file.sha256, served.digest, clock_timestamp()
       FROM adapter_versions version JOIN version_files file ON file.version_id = version.id,
         LATERAL (${SERVED_DIGESTS}) AS served (digest)
       WHERE version.tenant_id = $1 AND version.adapter_id = $2 AND ($3::integer IS NULL OR version.number = $3)`,
      [where.tenantId, where.adapterId, where.number ?? null],
    );
  }

  /** What was released at least so long ago, oldest first. */
  async released(olderThan_ms: number, limit: number): Promise<ReleasedFile[]> {
    const before = new Date(Date.now() - olderThan_ms);
    const files = this.database.getRepository(ReleasedFile);
    return files.find({
      where: { releasedAt: LessThanOrEqual(before) },
      order: { releasedAt: 'ASC' },
      take: limit,
    });
  }

  /** Lets go of released files that nobody reads any more. Returns the hashes that are gone with them. */
  async finishRelease(files: readonly ReleasedFile[]): Promise<string[]> {
    await this.database.manager.delete(ReleasedFile, { id: In(files.map(({ id }) => id)) });
    return this.free(files.map(({ sha256 }) => sha256));
  }

  /** Those of the hashes that no version holds. */
  async unheld(hashes: readonly string[]): Promise<string[]> {
    const sql = 'SELECT DISTINCT sha256 FROM version_files WHERE sha256 = ANY($1)';
    const rows = await this.database.query<{ sha256: string }[]>(sql, [[...hashes]]);
    const held = new Set(rows.map(({ sha256 }) => sha256));
    return [...new Set(hashes)].filter((sha256) => !held.has(sha256));
  }

  /** Keeps a blob from being freed while the caller's transaction makes a row that holds it. */
  async hold(manager: EntityManager, sha256: string): Promise<void> {
    await lockBlob(manager, sha256);
    if (await this.blobs.stat(sha256)) return;
    throw new AppError('dependency_unavailable', { retryAfter_s: 1 });
  }

  /**
   * Deletes those blobs that no version and no file holds and no request may read. Returns the hashes that are gone: none while a
   * backup copies them, which the sweep makes up for.
   */
  async free(hashes: Iterable<string>): Promise<string[]> {
    const freed: string[] = [];
    for (const sha256 of new Set(hashes)) {
      const gone = await this.database.transaction(async (manager) => {
        if (!(await mayRemove(manager))) return false;
        await lockBlob(manager, sha256);
        if (await manager.existsBy(VersionFile, { sha256 })) return false;
        if (await manager.existsBy(ReleasedFile, { sha256 })) return false;
        if (await manager.existsBy(UploadPart, { sha256 })) return false;
        if (await manager.existsBy(StoredFile, { sha256 })) return false;
        await this.blobs.delete(sha256);
        return true;
      });
      if (gone) freed.push(sha256);
    }
    return freed;
  }

  /** Frees what a killed process put but never recorded, or deleted but never freed. */
  async sweep(signal: AbortSignal): Promise<number> {
    let freed = 0;
    for await (const { sha256, touchedAt } of this.blobs.list()) {
      if (signal.aborted) break;
      if (Date.now() - touchedAt.getTime() > SWEEP_AGE_MS) freed += (await this.free([sha256])).length;
    }
    return freed;
  }
}

/** All versions of an adapter, or one of them. */
export interface ReleasedVersions {
  readonly tenantId: string;
  readonly adapterId: string;
  readonly number?: number;
}

async function lockBlob(manager: EntityManager, sha256: string): Promise<void> {
  await manager.query('SELECT pg_advisory_xact_lock(hashtextextended($1, 0))', [sha256]);
}

/** Held shared while a blob is removed, and alone while a backup is made. */
export const BLOB_REMOVAL_LOCK = 0x10122;

async function mayRemove(manager: EntityManager): Promise<boolean> {
  const sql = 'SELECT pg_try_advisory_xact_lock_shared($1) AS free';
  const [row] = await manager.query<{ free: boolean }[]>(sql, [BLOB_REMOVAL_LOCK]);
  return row?.free === true;
}
