import type { Readable } from 'node:stream';

/** Where immutable bytes lie, each under the SHA-256 (hex) of its content. */
export interface BlobStore {
  /**
   * Streams `source` in, hashing on the way; the blob is visible only once it is complete and on disk.
   * Throws AppError payload_too_large past `limitBytes`; leaves nothing behind when it fails or `signal` aborts.
   */
  put(source: Readable, options: { limitBytes: number; signal?: AbortSignal }): Promise<BlobInfo>;
  /** Undefined when there is no such blob. */
  stat(sha256: string): Promise<BlobInfo | undefined>;
  open(sha256: string, range?: { begin: number; end: number }): Promise<Readable>;
  /** A small blob whole, its hash verified. */
  read(sha256: string, limitBytes: number): Promise<Buffer>;
  /** A local file with the blob's bytes (for a remote store: fetched into the cache, verified). Must not be changed. */
  localPath(sha256: string, signal?: AbortSignal): Promise<string>;
  delete(sha256: string): Promise<void>;
  /** Every blob, in no order; one that comes or goes meanwhile may or may not be among them. */
  list(): AsyncIterable<StoredBlob>;
  /** Removes what interrupted uploads left behind, when older than `olderThan_ms`. Returns how many. */
  sweep(olderThan_ms: number): Promise<number>;
}

export interface BlobInfo {
  readonly sha256: string;
  readonly bytes: number;
}

export interface StoredBlob extends BlobInfo {
  /** When the same bytes were last put. */
  readonly touchedAt: Date;
}
