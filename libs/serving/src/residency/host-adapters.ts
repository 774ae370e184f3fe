import type { AdapterManifest } from '#contracts/adapter-manifest.js';
import { AppError } from '#runtime/app-error.js';
import type { BlobStore } from '#stores/blobs/blob-store.js';
import { type AdapterOwner, type Held, NO_OWNER, overShare } from './fair-eviction.js';
import { fileStamp, hashFile } from './file-hash.js';

interface Kept extends Held {
  readonly path: string;
  /** Tells that the file is the one that was verified. */
  readonly stamp: string;
}

/** A local file with an adapter's weights. Nothing made of it may be used before `verified` resolves. */
export interface HostFile {
  readonly path: string;
  /** Rejects when its bytes are not the manifest's. */
  readonly verified: Promise<void>;
}

export interface HostAdaptersOptions {
  readonly blobs: Pick<BlobStore, 'stat' | 'localPath'>;
  readonly limitBytes: number;
}

/**
 * The tier between storage and the device: local files of weights that are known to be the bytes their manifests name,
 * the most recently used ones up to a number of bytes, those of who keeps more than its part going first. Verifying reads the whole file, so its pages lie in the kernel's
 * page cache, from where native maps them: a load from here neither fetches nor hashes nor reads the disk (ADR 4).
 */
export class HostAdapters {
  /** By digest; least recently used first. */
  readonly #kept = new Map<string, Kept>();
  readonly #fetching = new Map<string, Promise<HostFile>>();
  #bytes = 0;

  constructor(private readonly options: HostAdaptersOptions) {}

  get bytes(): number {
    return this.#bytes;
  }

  /** Most recently used last. */
  get digests(): string[] {
    return [...this.#kept.keys()];
  }

  has(digest: string): boolean {
    return this.#kept.has(digest);
  }

  /** The local file, as soon as it is there. Requests for the same adapter share one fetch and one verification. */
  async open(digest: string, manifest: AdapterManifest, owner: AdapterOwner = NO_OWNER): Promise<HostFile> {
    const fetching = this.#fetching.get(digest);
    if (fetching !== undefined) return fetching;
    const kept = this.#kept.get(digest);
    if (kept !== undefined && (await fileStamp(kept.path).catch(() => undefined)) === kept.stamp) {
      this.#keep(digest, { ...kept, owner });
      return { path: kept.path, verified: Promise.resolve() };
    }
    this.forget(digest);
    return this.#fetching.get(digest) ?? this.#fetch(digest, manifest, owner);
  }

  forget(digest: string): void {
    this.#bytes -= this.#kept.get(digest)?.bytes ?? 0;
    this.#kept.delete(digest);
  }

  #keep(digest: string, kept: Kept): void {
    this.forget(digest);
    if (kept.bytes > this.options.limitBytes) return;
    this.#kept.set(digest, kept);
    this.#bytes += kept.bytes;
    while (this.#bytes > this.options.limitBytes) {
      const over = overShare(this.#kept.values(), this.options.limitBytes);
      const [oldest] = this.#kept.keys();
      const [first] = [...this.#kept].find(([, { owner }]) => over.has(owner.key)) ?? [oldest];
      if (first === undefined) return;
      this.forget(first);
    }
  }

  #fetch(digest: string, manifest: AdapterManifest, owner: AdapterOwner): Promise<HostFile> {
    const { sha256, bytes } = manifest.weights;
    const fetching = this.#locate(manifest).then(({ path, stamp }): HostFile => {
      const verified = verify(path, sha256)
        .then(() => this.#keep(digest, { path, stamp, bytes, owner }))
        .finally(() => this.#fetching.delete(digest));
      verified.catch(() => undefined); // whoever opens the file hears of it
      return { path, verified };
    });
    this.#fetching.set(digest, fetching);
    fetching.catch(() => this.#fetching.delete(digest));
    return fetching;
  }

  async #locate({ weights: { sha256 } }: AdapterManifest): Promise<{ path: string; stamp: string }> {
    const { blobs } = this.options;
    if ((await blobs.stat(sha256)) === undefined) {
      throw new AppError('internal_error', { message: "The adapter's weights are not in the blob store." });
    }
    const path = await blobs.localPath(sha256);
    return { path, stamp: await fileStamp(path) };
  }
}

async function verify(path: string, sha256: string): Promise<void> {
  if ((await hashFile(path)) === sha256) return;
  throw new AppError('internal_error', {
    message: "The adapter's stored weights are damaged: their SHA-256 is not the manifest's.",
  });
}
