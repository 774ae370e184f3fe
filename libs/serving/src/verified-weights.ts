import type { AdapterManifest } from '#contracts/adapter-manifest.js';
import { AppError } from '#runtime/app-error.js';
import type { BlobStore } from '#stores/blobs/blob-store.js';
import { fileStamp, hashFile } from './file-hash.js';

const REMEMBERED = 10_000;

/** Finds an adapter's weights as a local file and makes sure that they are the bytes that the manifest names. */
export class VerifiedWeights {
  /** SHA-256 to the stamp under which the file was last found whole. */
  readonly #verified = new Map<string, string>();

  constructor(private readonly blobs: BlobStore) {}

  async path(manifest: AdapterManifest): Promise<string> {
    const { sha256 } = manifest.weights;
    if ((await this.blobs.stat(sha256)) === undefined) {
      throw new AppError('internal_error', { message: "The adapter's weights are not in the blob store." });
    }
    const path = await this.blobs.localPath(sha256);
    const stamp = await fileStamp(path);
    if (this.#verified.get(sha256) === stamp) return path;
    if ((await hashFile(path)) !== sha256) {
      throw new AppError('internal_error', {
        message: "The adapter's stored weights are damaged: their SHA-256 is not the manifest's.",
      });
    }
    this.#verified.set(sha256, stamp);
    const oldest = this.#verified.keys().next();
    if (this.#verified.size > REMEMBERED && !oldest.done) this.#verified.delete(oldest.value);
    return path;
  }
}
