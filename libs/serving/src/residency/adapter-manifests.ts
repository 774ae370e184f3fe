import { type AdapterManifest, AdapterManifestSchema } from '#contracts/adapter-manifest.js';
import { AppError } from '#runtime/app-error.js';
import type { BlobStore } from '#stores/blobs/blob-store.js';

const MANIFEST_LIMIT_BYTES = 64 * 2 ** 20;
const KEPT_MANIFESTS = 256;

/** Manifests by digest, read from the blob store and kept for the most recently used adapters. */
export class AdapterManifests {
  readonly #kept = new Map<string, Promise<AdapterManifest>>();

  constructor(
    private readonly blobs: BlobStore,
    private readonly baseDigest: string,
  ) {}

  /** Throws AppError model_not_found for an unknown digest and adapter_rejected for another base's adapter. */
  get(digest: string): Promise<AdapterManifest> {
    const known = this.#kept.get(digest);
    this.#kept.delete(digest);
    const manifest = known ?? this.#read(digest);
    this.#kept.set(digest, manifest);
    if (known === undefined) {
      manifest.catch(() => this.#kept.delete(digest));
      const oldest = this.#kept.keys().next();
      if (this.#kept.size > KEPT_MANIFESTS && !oldest.done) this.#kept.delete(oldest.value);
    }
    return manifest;
  }

  async #read(digest: string): Promise<AdapterManifest> {
    if (!/^[0-9a-f]{64}$/.test(digest)) {
      throw new AppError('invalid_request', {
        message: 'adapter must be a digest: 64 hexadecimal digits in lower case.',
        param: 'adapter',
      });
    }
    if ((await this.blobs.stat(digest)) === undefined) {
      throw new AppError('model_not_found', { message: `There is no adapter with the digest ${digest}.` });
    }
    const text = (await this.blobs.read(digest, MANIFEST_LIMIT_BYTES)).toString('utf8');
    const parsed = AdapterManifestSchema.safeParse(parseJson(text));
    if (!parsed.success) {
      throw new AppError('adapter_rejected', {
        message: `The manifest ${digest} is not valid: ${parsed.error.issues[0]?.message ?? 'unknown fault'}.`,
        cause: parsed.error,
      });
    }
    if (parsed.data.base !== this.baseDigest) {
      throw new AppError('adapter_rejected', {
        message: 'The adapter was validated for another base model than this engine serves.',
      });
    }
    return parsed.data;
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
