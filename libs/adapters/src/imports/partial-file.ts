import { createHash } from 'node:crypto';
import { createReadStream, type ReadStream } from 'node:fs';
import { type FileHandle, mkdir, open, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';

/**
 * A file that is being fetched, on the worker's disk. Its name holds the validator of its bytes, so bytes of different
 * origins never meet in one file, even while two workers both believe to have the same import: what both write at one
 * place is then the same.
 */
export class PartialFile {
  readonly #path: string;

  /** `identity`: the validator; for bytes without one, anything that is new with each attempt. */
  constructor(
    private readonly folder: string,
    private readonly name: string,
    identity: string,
  ) {
    const suffix = createHash('sha256').update(identity).digest('hex').slice(0, 16);
    this.#path = join(folder, `${name}.${suffix}.part`);
  }

  /** 0 when there is none. */
  async bytes(): Promise<number> {
    const found = await stat(this.#path).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return undefined;
      throw error;
    });
    return found?.size ?? 0;
  }

  /** For writing behind its first `keepBytes` bytes; the rest is cut off. */
  async openAt(keepBytes: number): Promise<PartialWriter> {
    await mkdir(this.folder, { recursive: true, mode: 0o700 });
    const handle = await open(this.#path, keepBytes === 0 ? 'w' : 'r+', 0o600);
    await handle.truncate(keepBytes);
    return new PartialWriter(handle, keepBytes);
  }

  /** Removes what earlier attempts left of other bytes under the same name. */
  async removeOthers(): Promise<void> {
    for (const entry of await readdir(this.folder).catch(() => [])) {
      const path = join(this.folder, entry);
      if (entry.startsWith(`${this.name}.`) && path !== this.#path) await rm(path, { force: true });
    }
  }

  read(): ReadStream {
    return createReadStream(this.#path);
  }
}

class PartialWriter {
  constructor(
    private readonly handle: FileHandle,
    private written: number,
  ) {}

  get bytes(): number {
    return this.written;
  }

  async append(chunk: Buffer): Promise<void> {
    for (let offset = 0; offset < chunk.length; ) {
      const { bytesWritten } = await this.handle.write(chunk, offset, chunk.length - offset, this.written);
      offset += bytesWritten;
      this.written += bytesWritten;
    }
  }

  /** What is counted must survive a power cut. */
  async sync(): Promise<void> {
    await this.handle.datasync();
  }

  async close(): Promise<void> {
    await this.handle.close();
  }
}
