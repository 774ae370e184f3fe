import { Readable } from 'node:stream';
import { Inject, Injectable } from '@nestjs/common';
import { AppError } from '#runtime/app-error.js';
import type { SettingsOf } from '#runtime/settings.js';
import type { BlobStore } from '#stores/blobs/blob-store.js';
import { BLOBS } from '#stores/stores.module.js';
import { DataSource, type EntityManager, In, LessThan } from 'typeorm';
import { ADAPTERS_SETTINGS, type adaptersSettings } from '../settings.js';
import { BlobLedger } from '../blobs/blob-ledger.service.js';
import { checkRoomFor } from '../registry/tenant-quotas.js';
import { ResumableUpload } from './resumable-upload.entity.js';
import { UploadPart } from './upload-part.entity.js';

/** An upload that is not finished and used after so long is removed. */
export const UPLOAD_LIFE_MS = 24 * 3600_000;
/** Uploads that one tenant may have begun and not used. */
const MAX_OPEN = 200;
/** How much of one request may be lost when a server is killed. */
const PART_BYTES = 32 * 2 ** 20;
const SWEEP_LIMIT = 1_000;

export interface NewUpload {
  readonly id: string;
  readonly tenantId: string;
  readonly bytes: number;
  readonly metadata: Record<string, string | null>;
}

interface Address {
  readonly tenantId: string;
  readonly id: string;
}

/**
 * Files that come in pieces. Each piece is a blob, so an upload may go on at any server that shares the storage, and
 * what was acknowledged survives any of them; the pieces are joined when a version is made of them.
 */
@Injectable()
export class ResumableUploads {
  constructor(
    private readonly database: DataSource,
    private readonly ledger: BlobLedger,
    @Inject(BLOBS) private readonly blobs: BlobStore,
    @Inject(ADAPTERS_SETTINGS) private readonly settings: SettingsOf<typeof adaptersSettings>,
  ) {}

  /** Of one upload. */
  get limitBytes(): number {
    return this.settings.maxUploadBytes;
  }

  async create({ id, tenantId, bytes, metadata }: NewUpload): Promise<ResumableUpload> {
    const expiresAt = new Date(Date.now() + UPLOAD_LIFE_MS);
    await this.#forgetExpired({ tenantId }); // what nobody can go on with takes no room
    await this.database.transaction(async (manager) => {
      await checkRoomFor(manager, tenantId, bytes);
      await this.#checkCount(manager, tenantId);
      await manager.insert(ResumableUpload, { id, tenantId, bytes, metadata, expiresAt });
    });
    return this.get({ tenantId, id });
  }

  async #checkCount(manager: EntityManager, tenantId: string): Promise<void> {
    if ((await manager.countBy(ResumableUpload, { tenantId })) >= MAX_OPEN) {
      throw new AppError('quota_exceeded', {
        message: `The tenant has ${MAX_OPEN} uploads that are not part of a version yet; use or delete some.`,
      });
    }
  }

  /** Another tenant's upload and none are the same answer. */
  async get({ tenantId, id }: Address): Promise<ResumableUpload> {
    const found = await this.database.manager.findOneBy(ResumableUpload, { id, tenantId });
    if (!found || found.expiresAt.getTime() < Date.now()) throw noUpload();
    return found;
  }

  /**
   * Stores what `source` brings behind `offset` and returns the new offset. Where the source breaks off, what came until
   * then counts. Throws conflict when another request was faster.
   */
  async append({ tenantId, id }: Address, offset: number, source: Readable): Promise<number> {
    const chunks = (source as AsyncIterable<Buffer>)[Symbol.asyncIterator]();
    let at = offset;
    for (let ended = false; !ended; ) {
      const part = new PartReader(chunks);
      const { sha256, bytes } = await this.blobs.put(Readable.from(part.read()), {
        limitBytes: 2 * PART_BYTES,
      });
      ended = part.ended;
      if (bytes === 0) break;
      if (!(await this.#record({ tenantId, id }, { beginByte: at, bytes, sha256 }))) {
        await this.ledger.free([sha256]);
        throw new AppError('conflict', { message: 'Another request has changed the upload meanwhile.' });
      }
      at += bytes;
    }
    return at;
  }

  async remove({ tenantId, id }: Address): Promise<void> {
    await this.get({ tenantId, id });
    await this.#forget([id]);
  }

  /** Finished uploads that are about to become a version, kept for long enough; throws invalid_request for any other. */
  async claim(manager: EntityManager, tenantId: string, ids: readonly string[]): Promise<void> {
    for (const id of ids) {
      const found = await manager.findOneBy(ResumableUpload, { id, tenantId });
      const why = !found
        ? 'There is no upload'
        : found.receivedBytes < found.bytes
          ? `Only ${found.receivedBytes} of ${found.bytes} bytes have come of the upload`
          : undefined;
      if (why !== undefined)
        throw new AppError('invalid_request', { message: `${why} ${id}.`, param: 'uploads' });
    }
    const expiresAt = new Date(Date.now() + 2 * UPLOAD_LIFE_MS);
    await manager.update(ResumableUpload, { id: In([...ids]), tenantId }, { expiresAt });
  }

  /** The upload's bytes, joined; undefined when it is gone. */
  async open({ tenantId, id }: Address): Promise<{ bytes: number; body: Readable } | undefined> {
    const { manager } = this.database;
    const found = await manager.findOneBy(ResumableUpload, { id, tenantId });
    if (!found) return undefined;
    const parts = await manager.find(UploadPart, { where: { uploadId: id }, order: { beginByte: 'ASC' } });
    return { bytes: found.bytes, body: Readable.from(this.#joined(parts), { objectMode: false }) };
  }

  /** Takes away uploads whose bytes are part of a version now. */
  async used(tenantId: string, ids: readonly string[]): Promise<void> {
    const rows = await this.database.manager.findBy(ResumableUpload, { tenantId, id: In([...ids]) });
    await this.#forget(rows.map(({ id }) => id));
  }

  /** Removes what expired. Returns how many uploads that were. */
  async sweep(): Promise<number> {
    return this.#forgetExpired({});
  }

  async #forgetExpired(of: { readonly tenantId?: string }): Promise<number> {
    const rows = await this.database.manager.find(ResumableUpload, {
      where: { ...of, expiresAt: LessThan(new Date()) },
      take: SWEEP_LIMIT,
    });
    await this.#forget(rows.map(({ id }) => id));
    return rows.length;
  }

  async #record({ tenantId, id }: Address, part: Omit<UploadPart, 'uploadId'>): Promise<boolean> {
    return this.database.transaction(async (manager) => {
      const { affected } = await manager.update(
        ResumableUpload,
        { id, tenantId, receivedBytes: part.beginByte },
        { receivedBytes: part.beginByte + part.bytes },
      );
      if (affected !== 1) return false;
      await this.ledger.hold(manager, part.sha256);
      await manager.insert(UploadPart, { uploadId: id, ...part });
      return true;
    });
  }

  async #forget(ids: readonly string[]): Promise<void> {
    if (ids.length === 0) return;
    const { manager } = this.database;
    const parts = await manager.find(UploadPart, { where: { uploadId: In([...ids]) } });
    await manager.delete(ResumableUpload, { id: In([...ids]) });
    await this.ledger.free(parts.map(({ sha256 }) => sha256));
  }

  async *#joined(parts: readonly UploadPart[]): AsyncGenerator<Buffer> {
    for (const { sha256 } of parts) yield* (await this.blobs.open(sha256)) as AsyncIterable<Buffer>;
  }
}

/** Takes one part's bytes out of a stream that may break off. */
class PartReader {
  ended = false;

  constructor(private readonly chunks: AsyncIterator<Buffer>) {}

  async *read(): AsyncGenerator<Buffer> {
    for (let bytes = 0; bytes < PART_BYTES; ) {
      const next = await this.chunks.next().catch(() => ({ done: true as const, value: undefined }));
      if (next.done === true) {
        this.ended = true;
        return;
      }
      bytes += next.value.length;
      yield next.value;
    }
  }
}

function noUpload(): AppError {
  return new AppError('not_found', { message: 'There is no such upload.' });
}
