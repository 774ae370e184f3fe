import type { Readable } from 'node:stream';
import { Inject, Injectable } from '@nestjs/common';
import { BlobLedger } from '#adapters/blobs/blob-ledger.service.js';
import { StoredFile } from '#adapters/blobs/stored-file.entity.js';
import { checkAnyRoom } from '#adapters/registry/tenant-quotas.js';
import {
  type FileFields,
  FileFieldsSchema,
  type FileList,
  type FileQuery,
  type FileResource,
} from '#contracts/openai/files.js';
import { AppError } from '#runtime/app-error.js';
import { requestFault } from '#runtime/request-fault.js';
import type { SettingsOf } from '#runtime/settings.js';
import { AuditLog } from '#stores/audit/audit-log.service.js';
import type { BlobInfo, BlobStore } from '#stores/blobs/blob-store.js';
import { newId } from '#stores/ids.js';
import { BLOBS } from '#stores/stores.module.js';
import { DataSource, type EntityManager } from 'typeorm';
import { publicBatchId } from '../batch-resource.js';
import { BATCHES_SETTINGS, type batchesSettings } from '../settings.js';
import { type BatchFile, fileIdBehind, fileResource, isBatchFile } from './file-resource.js';
import { type FileSource, FileUpload } from './file-upload.js';

const DAY_MS = 24 * 3600_000;
const PRUNE_BATCH = 500;

/** A file that a batch made. */
export interface MadeFile {
  readonly tenantId: string;
  readonly filename: string;
  readonly blob: BlobInfo;
  /** Null: as the operator keeps files. */
  readonly expiresAfter_s: number | null;
}

/** Files of /v1/files, each its tenant's own, until they are deleted or expire. */
@Injectable()
export class FilesService {
  constructor(
    private readonly database: DataSource,
    private readonly ledger: BlobLedger,
    @Inject(BLOBS) private readonly blobs: BlobStore,
    @Inject(BATCHES_SETTINGS) private readonly settings: SettingsOf<typeof batchesSettings>,
  ) {}

  /** Stores the bytes, then makes the file visible; whatever fails before leaves nothing. */
  async upload(tenantId: string, source: FileSource): Promise<FileResource> {
    await checkAnyRoom(this.database, tenantId);
    const upload = new FileUpload(this.blobs, this.settings.maxFileBytes);
    try {
      const { filename, blob, fields } = await upload.read(source);
      const { purpose, expires_after } = parseFields(fields);
      const row = this.#newFile({ tenantId, filename, blob, expiresAfter_s: expires_after?.seconds ?? null });
      row.purpose = purpose;
      const resource = fileResource(row);
      await this.database.transaction(async (manager) => {
        await this.ledger.recordFile(manager, row);
        const subject = { type: 'file', id: resource.id };
        await AuditLog.record(manager, { tenantId, action: 'file.create', subject, after: resource });
      });
      return resource;
    } catch (error) {
      if (upload.stored !== undefined) await this.#free([upload.stored]);
      throw error;
    }
  }

  /** Records a file of our own making, which no quota refuses, in the caller's transaction. Returns its id. */
  async add(manager: EntityManager, made: MadeFile): Promise<string> {
    const row = this.#newFile(made);
    await this.ledger.recordFile(manager, row, { own: true });
    return row.id;
  }

  /** Puts bytes where `add` expects them. */
  put(bytes: Readable, signal: AbortSignal): Promise<BlobInfo> {
    return this.blobs.put(bytes, { limitBytes: Number.MAX_SAFE_INTEGER, signal });
  }

  open({ sha256, bytes }: BlobInfo, range = { begin: 0, end: bytes }): Promise<Readable> {
    return this.blobs.open(sha256, range);
  }

  async list(tenantId: string, { limit, after, order, purpose }: FileQuery): Promise<FileList> {
    const id = after === undefined ? undefined : fileIdBehind(after);
    if (after !== undefined && id === undefined)
      throw new AppError('invalid_request', { message: '`after` is no id of this list.', param: 'after' });
    const query = this.database
      .getRepository(StoredFile)
      .createQueryBuilder('file')
      .where('file.tenant_id = :tenantId', { tenantId })
      .andWhere("file.purpose <> 'merged_model' AND (file.expires_at IS NULL OR file.expires_at > now())")
      .orderBy('file.id', order === 'asc' ? 'ASC' : 'DESC')
      .take(limit + 1);
    if (id !== undefined) query.andWhere(`file.id ${order === 'asc' ? '>' : '<'} :id`, { id });
    if (purpose !== undefined) query.andWhere('file.purpose = :purpose', { purpose });
    const rows = await query.getMany();
    const data = rows.slice(0, limit).filter(isBatchFile).map(fileResource);
    const [first_id, last_id] = [data.at(0)?.id ?? null, data.at(-1)?.id ?? null];
    return { object: 'list', data, has_more: rows.length > limit, first_id, last_id };
  }

  async get(tenantId: string, fileId: string): Promise<FileResource> {
    return fileResource(await this.find(tenantId, fileId));
  }

  async find(tenantId: string, fileId: string): Promise<BatchFile> {
    const row = await findFile(this.database.manager, { tenantId, fileId });
    if (!row) throw noFile();
    return row;
  }

  /** A file's row by its own id; undefined: it is gone. */
  async byId(tenantId: string, id: string): Promise<StoredFile | undefined> {
    return (await this.database.getRepository(StoredFile).findOneBy({ id, tenantId })) ?? undefined;
  }

  /** Refused while a batch still reads it. */
  async remove(tenantId: string, fileId: string): Promise<void> {
    const sha256 = await this.database.transaction(async (manager) => {
      const row = await findFile(manager, { tenantId, fileId, lock: true });
      if (!row) throw noFile();
      const [batch] = await manager.query<{ id: string }[]>(
        'SELECT id FROM batches WHERE input_file_id = $1 AND due_at IS NOT NULL LIMIT 1',
        [row.id],
      );
      if (batch) {
        const message = `The batch ${publicBatchId(batch.id)} still reads this file: cancel it, or wait for its end.`;
        throw new AppError('conflict', { message });
      }
      await manager.delete(StoredFile, { id: row.id, tenantId });
      const subject = { type: 'file', id: fileId };
      await AuditLog.record(manager, { tenantId, action: 'file.delete', subject, before: fileResource(row) });
      return row.sha256;
    });
    await this.#free([sha256]);
  }

  /** Deletes what has expired and no batch reads; returns how many. */
  async prune(now: Date, signal: AbortSignal): Promise<number> {
    let gone = 0;
    for (let count = PRUNE_BATCH; count === PRUNE_BATCH && !signal.aborted; gone += count) {
      const [rows] = await this.database.query<[{ sha256: string }[], number]>(
        `DELETE FROM files WHERE id IN (
           SELECT file.id FROM files file
           WHERE file.expires_at <= $1
             AND NOT EXISTS (SELECT 1 FROM batches WHERE input_file_id = file.id AND due_at IS NOT NULL)
           ORDER BY file.expires_at LIMIT ${PRUNE_BATCH} FOR UPDATE SKIP LOCKED
         ) RETURNING sha256`,
        [now],
      );
      await this.#free(rows.map(({ sha256 }) => sha256));
      count = rows.length;
    }
    return gone;
  }

  #newFile({ tenantId, filename, blob, expiresAfter_s }: MadeFile): BatchFile {
    const createdAt = new Date();
    const { fileRetention_days: days } = this.settings;
    const kept_ms = expiresAfter_s === null ? days && days * DAY_MS : expiresAfter_s * 1000;
    const expiresAt = kept_ms === undefined ? null : new Date(createdAt.getTime() + kept_ms);
    const id = newId(createdAt.getTime());
    return { id, tenantId, filename, purpose: 'batch_output', ...blob, createdAt, expiresAt };
  }

  /** What cannot be freed now, e.g. while a backup runs, a sweep frees. */
  async #free(hashes: readonly string[]): Promise<void> {
    await this.ledger.free(hashes).catch(() => undefined);
  }
}

interface FileWhere {
  readonly tenantId: string;
  readonly fileId: string;
  /** Until the transaction ends. */
  readonly lock?: boolean;
}

/** A file that has not expired. */
export async function findFile(
  manager: EntityManager,
  { tenantId, fileId, lock = false }: FileWhere,
): Promise<BatchFile | undefined> {
  const id = fileIdBehind(fileId);
  if (id === undefined) return undefined;
  const row = await manager.findOne(StoredFile, {
    where: { id, tenantId },
    ...(lock ? { lock: { mode: 'pessimistic_write' as const } } : {}),
  });
  const isThere = row && isBatchFile(row) && (row.expiresAt === null || row.expiresAt.getTime() > Date.now());
  return isThere ? row : undefined;
}

function parseFields(fields: Readonly<Record<string, unknown>>): FileFields {
  const parsed = FileFieldsSchema.safeParse(fields);
  if (!parsed.success) throw requestFault(parsed.error.issues);
  return parsed.data;
}

function noFile(): AppError {
  return new AppError('not_found', { message: 'There is no such file.' });
}
