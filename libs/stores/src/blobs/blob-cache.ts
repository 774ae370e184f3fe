import { createHash, randomUUID } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, open, readdir, rename, rm, stat, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';

/** A file that was given out so recently may not have been opened yet. */
const SPARED_MS = 5 * 60_000;
/** What an interrupted fetch left is older than any that still runs. */
const TEMPORARY_AGE_MS = 24 * 3600_000;
const TEMPORARY = 'incoming';

export interface BlobCacheOptions {
  readonly folder: string;
  readonly limitBytes: number;
}

/**
 * Local copies of remote blobs, each fetched once and verified, for those who need a file. The least recently used go
 * when there are more bytes than allowed; a file's time of change is its last use, so several processes may have one
 * cache. A file that goes while it is mapped stays readable for who maps it.
 */
export class BlobCache {
  readonly #fetching = new Map<string, Promise<string>>();
  /** Files whose bytes this process has verified, with what tells that they are still the same. */
  readonly #verified = new Map<string, string>();

  private constructor(private readonly options: BlobCacheOptions) {}

  static async open(options: BlobCacheOptions): Promise<BlobCache> {
    const temporary = join(options.folder, TEMPORARY);
    await mkdir(temporary, { recursive: true, mode: 0o700 });
    for (const name of await readdir(temporary)) {
      const found = await fileAt(join(temporary, name));
      if (found && Date.now() - found.mtimeMs > TEMPORARY_AGE_MS)
        await rm(join(temporary, name), { force: true });
    }
    return new BlobCache(options);
  }

  /** The verified file; `fetch` opens the remote bytes when there is none. All who ask meanwhile share one fetch. */
  async path(sha256: string, fetch: () => Promise<Readable>, signal?: AbortSignal): Promise<string> {
    signal?.throwIfAborted();
    let path = this.#fetching.get(sha256);
    if (!path) {
      path = this.#find(sha256, fetch).finally(() => this.#fetching.delete(sha256));
      this.#fetching.set(sha256, path);
    }
    return signal ? Promise.race([path, aborted(signal)]) : path;
  }

  async remove(sha256: string): Promise<void> {
    this.#verified.delete(sha256);
    await rm(this.#pathOf(sha256), { force: true });
  }

  async #find(sha256: string, fetch: () => Promise<Readable>): Promise<string> {
    const path = this.#pathOf(sha256);
    if (await this.#isSound(sha256, path)) {
      const now = new Date();
      await utimes(path, now, now);
      return path;
    }
    await this.#fetch(sha256, path, await fetch());
    await this.#evict();
    return path;
  }

  /** A copy of an earlier run may have been damaged since. */
  async #isSound(sha256: string, path: string): Promise<boolean> {
    const found = await fileAt(path);
    if (!found) return false;
    const stamp = `${found.ino}:${found.size}`;
    if (this.#verified.get(sha256) === stamp) return true;
    if ((await hashOf(createReadStream(path))) !== sha256) {
      await this.remove(sha256);
      return false;
    }
    this.#verified.set(sha256, stamp);
    return true;
  }

  async #fetch(sha256: string, path: string, source: Readable): Promise<void> {
    const temporary = join(this.options.folder, TEMPORARY, randomUUID());
    try {
      const file = await open(temporary, 'wx', 0o600);
      try {
        const actual = await hashOf(source, (chunk) => file.appendFile(chunk));
        if (actual !== sha256) throw new Error(`blob ${sha256} is damaged: its bytes hash to ${actual}`);
        await file.datasync();
      } finally {
        await file.close();
      }
      await rename(temporary, path);
      const found = await stat(path);
      this.#verified.set(sha256, `${found.ino}:${found.size}`);
    } catch (error) {
      source.destroy();
      await rm(temporary, { force: true });
      throw error;
    }
  }

  async #evict(): Promise<void> {
    const files: { name: string; bytes: number; used_ms: number }[] = [];
    for (const name of await readdir(this.options.folder)) {
      const found = name === TEMPORARY ? undefined : await fileAt(join(this.options.folder, name));
      if (found) files.push({ name, bytes: found.size, used_ms: found.mtimeMs });
    }
    let bytes = files.reduce((sum, file) => sum + file.bytes, 0);
    for (const file of files.sort((a, b) => a.used_ms - b.used_ms)) {
      if (bytes <= this.options.limitBytes || Date.now() - file.used_ms < SPARED_MS) return;
      await this.remove(file.name);
      bytes -= file.bytes;
    }
  }

  #pathOf(sha256: string): string {
    return join(this.options.folder, sha256);
  }
}

async function hashOf(source: Readable, also?: (chunk: Buffer) => Promise<unknown>): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of source as AsyncIterable<Buffer>) {
    hash.update(chunk);
    await also?.(chunk);
  }
  return hash.digest('hex');
}

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
  });
}

async function fileAt(path: string) {
  return stat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
}
