import { createHash, randomUUID } from 'node:crypto';
import { Readable } from 'node:stream';
import {
  AbortMultipartUploadCommand,
  CopyObjectCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  HeadBucketCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  type S3Client,
} from '@aws-sdk/client-s3';
import { Upload } from '@aws-sdk/lib-storage';
import { AppError } from '#runtime/app-error.js';
import type { BlobCache } from './blob-cache.js';
import type { BlobInfo, BlobStore, StoredBlob } from './blob-store.js';
import { HashedBytes } from './hashed-bytes.js';
import { isNotFound, statusOf } from './s3-client.js';

const MIB = 2 ** 20;
/** S3 takes parts of at least 5 MiB; a smaller blob is one request, and no part of it is ever seen elsewhere. */
const PART_BYTES = 8 * MIB;
const PARALLEL_PARTS = 3;
/** What S3 copies in one request. */
const LARGEST_BYTES = 5 * 2 ** 30;
const SHA256_HEX = /^[0-9a-f]{64}$/;
const TEMPORARY = 'incoming/';
const NOT_IMPLEMENTED = 501;

export interface S3StoreOptions {
  readonly client: S3Client;
  readonly bucket: string;
  /** Below which everything lies; without slashes at its ends. */
  readonly prefix: string;
  /** Absent: this process asks for no local files. */
  readonly cache?: BlobCache;
}

/**
 * Blobs as objects of one bucket: `sha256/ab/<hash>`. The hash of a stream is known only at its end, so a large blob is
 * uploaded in parts to `incoming/` and then copied, within S3, to its name: an object appears whole or not at all. A
 * crash leaves at most an object or an open upload below `incoming/` that `sweep` removes.
 */
export class S3BlobStore implements BlobStore {
  readonly #client: S3Client;
  readonly #bucket: string;
  readonly #root: string;
  readonly #cache: BlobCache | undefined;

  private constructor({ client, bucket, prefix, cache }: S3StoreOptions) {
    this.#client = client;
    this.#bucket = bucket;
    this.#root = prefix === '' ? '' : `${prefix}/`;
    this.#cache = cache;
  }

  /** Throws when the bucket is not there or not ours; a service that does not answer now may do so later. */
  static async open(options: S3StoreOptions): Promise<S3BlobStore> {
    try {
      await options.client.send(new HeadBucketCommand({ Bucket: options.bucket }));
    } catch (error) {
      const status = statusOf(error);
      if (status !== undefined && status < 500) {
        throw new Error(`STORAGE_URL: S3 answers ${status} for the bucket ${options.bucket}`, {
          cause: error,
        });
      }
    }
    return new S3BlobStore(options);
  }

  async put(source: Readable, options: { limitBytes: number; signal?: AbortSignal }): Promise<BlobInfo> {
    const { signal } = options;
    const bytes = new HashedBytes(source, {
      ...options,
      limitBytes: Math.min(options.limitBytes, LARGEST_BYTES),
    });
    try {
      const head = await bytes.first(PART_BYTES);
      const info = head.isWhole
        ? await this.#putSmall(head.bytes, bytes, signal)
        : await this.#putLarge(head.bytes, bytes, signal);
      signal?.throwIfAborted();
      return info;
    } catch (error) {
      source.destroy();
      throw bytes.failure ?? failure(error, signal);
    }
  }

  async stat(sha256: string): Promise<BlobInfo | undefined> {
    const key = this.#key(sha256);
    try {
      const { ContentLength = 0 } = await this.#client.send(
        new HeadObjectCommand({ Bucket: this.#bucket, Key: key }),
      );
      return { sha256, bytes: ContentLength };
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw failure(error);
    }
  }

  async open(sha256: string, range?: { begin: number; end: number }): Promise<Readable> {
    const key = this.#key(sha256);
    // HTTP has no form for an empty range.
    if (range && range.end <= range.begin) return Readable.from([]);
    const Range = range && `bytes=${range.begin}-${range.end - 1}`;
    try {
      const { Body } = await this.#client.send(
        new GetObjectCommand({ Bucket: this.#bucket, Key: key, Range }),
      );
      return Body as Readable;
    } catch (error) {
      throw isNotFound(error) ? missing(sha256) : failure(error);
    }
  }

  async read(sha256: string, limitBytes: number): Promise<Buffer> {
    const info = await this.stat(sha256);
    if (!info) throw missing(sha256);
    if (info.bytes > limitBytes) {
      throw new AppError('payload_too_large', {
        message: `A blob has ${info.bytes} bytes; ${limitBytes} are read.`,
      });
    }
    const bytes = Buffer.concat(await (await this.open(sha256)).toArray());
    const actual = createHash('sha256').update(bytes).digest('hex');
    if (actual !== sha256) throw new Error(`blob ${sha256} is damaged: its bytes hash to ${actual}`);
    return bytes;
  }

  async localPath(sha256: string, signal?: AbortSignal): Promise<string> {
    this.#key(sha256);
    if (!this.#cache) throw new Error('this process keeps no local copies of blobs');
    return this.#cache.path(sha256, () => this.open(sha256), signal);
  }

  async delete(sha256: string): Promise<void> {
    await this.#deleteKey(this.#key(sha256));
    await this.#cache?.remove(sha256);
  }

  async *list(): AsyncGenerator<StoredBlob> {
    for await (const { key, bytes, changedAt } of this.#objects('sha256/')) {
      const sha256 = key.slice(key.lastIndexOf('/') + 1);
      if (SHA256_HEX.test(sha256)) yield { sha256, bytes, touchedAt: changedAt };
    }
  }

  async sweep(olderThan_ms: number): Promise<number> {
    const before = Date.now() - olderThan_ms;
    let removed = 0;
    for await (const { key, changedAt } of this.#objects(TEMPORARY)) {
      if (changedAt.getTime() > before) continue;
      await this.#deleteKey(key);
      removed += 1;
    }
    return removed + (await this.#abortUploads(before));
  }

  async #putSmall(bytes: Buffer, hashed: HashedBytes, signal: AbortSignal | undefined): Promise<BlobInfo> {
    const info = hashed.info();
    const object = { Bucket: this.#bucket, Key: this.#key(info.sha256), Body: bytes };
    await this.#client.send(new PutObjectCommand(object), abortable(signal));
    return info;
  }

  async #putLarge(head: Buffer, hashed: HashedBytes, signal: AbortSignal | undefined): Promise<BlobInfo> {
    const temporary = this.#root + TEMPORARY + randomUUID();
    const upload = new Upload({
      client: this.#client,
      params: { Bucket: this.#bucket, Key: temporary, Body: hashed.rest(head) },
      partSize: PART_BYTES,
      queueSize: PARALLEL_PARTS,
    });
    const abort = (): void => void upload.abort();
    signal?.addEventListener('abort', abort, { once: true });
    try {
      await upload.done();
      const info = hashed.info();
      const source = [this.#bucket, ...temporary.split('/')].map(encodeURIComponent).join('/');
      // Also when the blob is there: its time of change is then new, so that a sweep of unowned blobs spares it.
      const copy = { Bucket: this.#bucket, Key: this.#key(info.sha256), CopySource: source };
      await this.#client.send(new CopyObjectCommand(copy), abortable(signal));
      return info;
    } finally {
      signal?.removeEventListener('abort', abort);
      await this.#deleteKey(temporary).catch(() => undefined); // the sweep removes it later
    }
  }

  async *#objects(folder: string): AsyncGenerator<{ key: string; bytes: number; changedAt: Date }> {
    let token: string | undefined;
    do {
      const page = await this.#client
        .send(
          new ListObjectsV2Command({
            Bucket: this.#bucket,
            Prefix: this.#root + folder,
            ContinuationToken: token,
          }),
        )
        .catch((error: unknown) => {
          throw failure(error);
        });
      for (const { Key, Size = 0, LastModified } of page.Contents ?? []) {
        if (Key !== undefined && LastModified) yield { key: Key, bytes: Size, changedAt: LastModified };
      }
      token = page.NextContinuationToken;
    } while (token !== undefined);
  }

  /** Uploads in parts that a killed process began; services that cannot list them have rules of their own for that. */
  async #abortUploads(before_ms: number): Promise<number> {
    const Prefix = this.#root + TEMPORARY;
    const command = new ListMultipartUploadsCommand({ Bucket: this.#bucket, Prefix });
    const { Uploads = [] } = await this.#client.send(command).catch((error: unknown) => {
      if (statusOf(error) === NOT_IMPLEMENTED) return { Uploads: [] };
      throw failure(error);
    });
    const old = Uploads.filter(({ Initiated }) => Initiated && Initiated.getTime() < before_ms);
    for (const { Key, UploadId } of old) {
      await this.#client.send(new AbortMultipartUploadCommand({ Bucket: this.#bucket, Key, UploadId }));
    }
    return old.length;
  }

  async #deleteKey(key: string): Promise<void> {
    try {
      await this.#client.send(new DeleteObjectCommand({ Bucket: this.#bucket, Key: key }));
    } catch (error) {
      if (!isNotFound(error)) throw failure(error);
    }
  }

  #key(sha256: string): string {
    if (!SHA256_HEX.test(sha256)) throw new Error('a blob is named by a SHA-256 in lower-case hex');
    return `${this.#root}sha256/${sha256.slice(0, 2)}/${sha256}`;
  }
}

function missing(sha256: string): Error {
  return new Error(`there is no blob ${sha256}`);
}

function abortable(signal: AbortSignal | undefined): { abortSignal?: AbortSignal } {
  return signal ? { abortSignal: signal } : {};
}

/** What the SDK threw: the caller's own abort, a service that is away, or a fault of our own. */
function failure(error: unknown, signal?: AbortSignal): unknown {
  if (signal?.aborted) return signal.reason;
  if (error instanceof AppError) return error;
  const status = statusOf(error);
  const away = status === undefined || status >= 500 || status === 429;
  return away ? new AppError('dependency_unavailable', { retryAfter_s: 2, cause: error }) : error;
}
