import { createHash } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { open, rename, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { Transform, type Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { pack, type Pack } from 'tar-stream';
import { BackupError, MANIFEST, MANIFEST_HASH, type Manifest } from './archive.js';

/** Writes a backup to `<path>.part`; it gets its name when it is complete and on disk. */
export class ArchiveWriter {
  readonly #pack: Pack = pack();
  readonly #entries: Record<string, { bytes: number; sha256: string }> = {};
  readonly #written: Promise<void>;

  private constructor(private readonly path: string) {
    const file = createWriteStream(`${path}.part`, { mode: 0o600, flush: true });
    this.#written = pipeline(this.#pack as unknown as Readable, file);
    this.#written.catch(() => undefined); // told by whoever writes next
  }

  static async create(path: string): Promise<ArchiveWriter> {
    if (await stat(path).catch(() => undefined)) throw new BackupError(`${path} is there already.`);
    return new ArchiveWriter(path);
  }

  async add(name: string, bytes: Buffer): Promise<void> {
    this.#entries[name] = { bytes: bytes.length, sha256: sha256Of(bytes) };
    await this.#entry(name, bytes);
  }

  /** Resolves with the hash of what came; throws when it is not `bytes` long. */
  async stream(name: string, source: Readable, bytes: number): Promise<string> {
    const hash = createHash('sha256');
    let seen = 0;
    const count = new Transform({
      transform: (chunk: Buffer, _, done) => {
        seen += chunk.length;
        hash.update(chunk);
        if (seen > bytes) done(new Error('longer than expected'));
        else done(null, chunk);
      },
      flush: (done) => done(seen === bytes ? null : new Error('shorter than expected')),
    });
    await Promise.race([pipeline(source, count, this.#pack.entry(header(name, bytes))), this.#broken()]);
    const sha256 = hash.digest('hex');
    this.#entries[name] = { bytes, sha256 };
    return sha256;
  }

  async finish(rest: Omit<Manifest, 'entries'>): Promise<void> {
    const manifest = Buffer.from(JSON.stringify({ ...rest, entries: this.#entries } satisfies Manifest));
    await this.#entry(MANIFEST, manifest);
    await this.#entry(MANIFEST_HASH, Buffer.from(sha256Of(manifest)));
    this.#pack.finalize();
    await this.#written;
    await rename(`${this.path}.part`, this.path);
    const folder = await open(dirname(this.path), 'r');
    await folder.sync().finally(() => folder.close());
  }

  async abandon(): Promise<void> {
    this.#pack.destroy();
    await this.#written.catch(() => undefined);
    await rm(`${this.path}.part`, { force: true });
  }

  async #entry(name: string, bytes: Buffer): Promise<void> {
    const added = new Promise<void>((resolve, reject) => {
      this.#pack.entry(header(name, bytes.length), bytes, (error) => (error ? reject(error) : resolve()));
    });
    await Promise.race([added, this.#broken()]);
  }

  /** Rejects when the file can no longer be written; otherwise never settles before the end. */
  #broken(): Promise<never> {
    return this.#written.then(() => new Promise<never>(() => undefined));
  }
}

const header = (name: string, size: number) => ({ name, size, mode: 0o600, mtime: new Date() });

function sha256Of(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}
