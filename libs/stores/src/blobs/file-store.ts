import { createHash, randomUUID } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { type FileHandle, mkdir, open, readdir, readFile, rename, rm, stat, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { AppError } from '#runtime/app-error.js';
import { currentOwner } from '#runtime/request-context.js';
import { FairPlaces } from '../fair-places.js';
import type { BlobInfo, BlobStore, StoredBlob } from './blob-store.js';

const SHA256_HEX = /^[0-9a-f]{64}$/;
const TEMPORARY = 'incoming';

/**
 * Node writes files on four threads. One owner's bytes take two of them at most, and are hashed in those turns too: hundreds
 * of uploads at once leave the event loop, the threads and the disk to others between any two pieces.
 */
const diskTurns = (): FairPlaces => new FairPlaces(4, 2);
/** The longest that a timer of Node can wait: a turn is waited for as long as it takes. */
const UNTIL_IT_COMES_MS = 2 ** 31 - 1;

/**
 * Blobs as files of one folder: `sha256/ab/<hash>` where `ab` are the hash's first two digits. A blob is written to
 * `incoming/`, flushed to disk, then renamed; a crash leaves either nothing or the whole blob, and perhaps a file
 * in `incoming/` that `sweep` removes. Names come from hashes and random ids only, never from a client.
 */
export class FileBlobStore implements BlobStore {
  private constructor(
    private readonly folder: string,
    private readonly turns: FairPlaces,
  ) {}

  static async open(folder: string, turns = diskTurns()): Promise<FileBlobStore> {
    await mkdir(join(folder, TEMPORARY), { recursive: true });
    await mkdir(join(folder, 'sha256'), { recursive: true });
    return new FileBlobStore(folder, turns);
  }

  async put(source: Readable, options: { limitBytes: number; signal?: AbortSignal }): Promise<BlobInfo> {
    const temporary = join(this.folder, TEMPORARY, randomUUID());
    // The source may break before it is first read; the error then comes out of the read itself.
    source.on('error', () => undefined);
    try {
      const info = await this.#writeHashed(source, temporary, options);
      await this.#inTurn(() => this.#publish(temporary, info.sha256));
      return info;
    } catch (error) {
      await rm(temporary, { force: true });
      source.destroy();
      throw error;
    }
  }

  async stat(sha256: string): Promise<BlobInfo | undefined> {
    const found = await statIfThere(this.#path(sha256));
    return found && { sha256, bytes: found.size };
  }

  async open(sha256: string, range?: { begin: number; end: number }): Promise<Readable> {
    const path = await this.localPath(sha256);
    if (!range) return createReadStream(path);
    // createReadStream's `end` is inclusive, so it has no form for an empty range.
    if (range.end <= range.begin) return Readable.from([]);
    return createReadStream(path, { start: range.begin, end: range.end - 1 });
  }

  async read(sha256: string, limitBytes: number): Promise<Buffer> {
    const info = await this.stat(sha256);
    if (!info) throw missing(sha256);
    if (info.bytes > limitBytes) {
      throw new AppError('payload_too_large', {
        message: `A blob has ${info.bytes} bytes; ${limitBytes} are read.`,
      });
    }
    const bytes = await readFile(this.#path(sha256));
    const actual = createHash('sha256').update(bytes).digest('hex');
    if (actual !== sha256) throw new Error(`blob ${sha256} is damaged: its bytes hash to ${actual}`);
    return bytes;
  }

  async localPath(sha256: string): Promise<string> {
    const path = this.#path(sha256);
    if (!(await statIfThere(path))) throw missing(sha256);
    return path;
  }

  async delete(sha256: string): Promise<void> {
    await rm(this.#path(sha256), { force: true });
  }

  async *list(): AsyncGenerator<StoredBlob> {
    const root = join(this.folder, 'sha256');
    for (const prefix of await readdir(root)) {
      for (const sha256 of await readdir(join(root, prefix))) {
        const found = SHA256_HEX.test(sha256) ? await statIfThere(join(root, prefix, sha256)) : undefined;
        if (found) yield { sha256, bytes: found.size, touchedAt: found.mtime };
      }
    }
  }

  async sweep(olderThan_ms: number): Promise<number> {
    const folder = join(this.folder, TEMPORARY);
    let removed = 0;
    for (const name of await readdir(folder)) {
      const found = await statIfThere(join(folder, name));
      if (!found || Date.now() - found.mtimeMs < olderThan_ms) continue;
      await rm(join(folder, name), { force: true });
      removed += 1;
    }
    return removed;
  }

  async #writeHashed(
    source: Readable,
    path: string,
    { limitBytes, signal }: { limitBytes: number; signal?: AbortSignal },
  ): Promise<BlobInfo> {
    const hash = createHash('sha256');
    let bytes = 0;
    const file = await this.#inTurn(() => open(path, 'wx', 0o600));
    const abort = (): void => void source.destroy(signal?.reason as Error);
    signal?.addEventListener('abort', abort, { once: true });
    try {
      signal?.throwIfAborted();
      for await (const chunk of source as AsyncIterable<Buffer>) {
        bytes += chunk.length;
        if (bytes > limitBytes) throw tooLarge(limitBytes);
        await this.#inTurn(() => {
          hash.update(chunk);
          return writeAll(file, chunk);
        });
      }
      signal?.throwIfAborted();
      await this.#inTurn(() => file.sync());
    } finally {
      signal?.removeEventListener('abort', abort);
      await file.close();
    }
    return { sha256: hash.digest('hex'), bytes };
  }

  async #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const owner = currentOwner();
    await this.turns.take(owner, UNTIL_IT_COMES_MS);
    try {
      return await work();
    } finally {
      this.turns.giveBack(owner);
    }
  }

  /** Moves a complete temporary file to its final name; the same bytes are kept once. */
  async #publish(temporary: string, sha256: string): Promise<void> {
    const path = this.#path(sha256);
    const folder = join(this.folder, 'sha256', sha256.slice(0, 2));
    await mkdir(folder, { recursive: true });
    if (await statIfThere(path)) {
      // Fresh again, so that a sweep of unreferenced blobs spares it until its new owner is recorded.
      const now = new Date();
      await utimes(path, now, now).catch(() => rename(temporary, path));
      await rm(temporary, { force: true });
    } else {
      await rename(temporary, path);
    }
    await syncFolder(folder);
    await syncFolder(join(this.folder, 'sha256'));
  }

  #path(sha256: string): string {
    if (!SHA256_HEX.test(sha256)) throw new Error('a blob is named by a SHA-256 in lower-case hex');
    return join(this.folder, 'sha256', sha256.slice(0, 2), sha256);
  }
}

function missing(sha256: string): Error {
  return new Error(`there is no blob ${sha256}`);
}

function tooLarge(limitBytes: number): AppError {
  return new AppError('payload_too_large', {
    message: `The file is larger than the ${limitBytes} bytes allowed.`,
  });
}

async function writeAll(file: FileHandle, chunk: Buffer): Promise<void> {
  for (let offset = 0; offset < chunk.length; ) {
    const { bytesWritten } = await file.write(chunk, offset, chunk.length - offset);
    offset += bytesWritten;
  }
}

/** Makes a rename survive a power cut: the entry itself lies in the folder. */
async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function statIfThere(
  path: string,
): Promise<{ size: number; mtime: Date; mtimeMs: number } | undefined> {
  try {
    return await stat(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
