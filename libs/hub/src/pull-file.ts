import { createHash, type Hash } from 'node:crypto';
import { constants, createReadStream } from 'node:fs';
import { type FileHandle, mkdir, open, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { CheckpointFile } from './checkpoint-files.js';
import { type HubAccess, openFile, reasonOf } from './hub-client.js';
import { HubError } from './hub-error.js';

export interface FileOrder {
  readonly repo: string;
  readonly commit: string;
  readonly file: CheckpointFile;
  readonly folder: string;
}

export interface FileHooks {
  /** Bytes that are there now, also those of earlier attempts; negative: they were of no use. */
  readonly onBytes: (bytes: number) => void;
  readonly signal: AbortSignal;
  /** Between two chunks. */
  readonly idle_ms: number;
}

/**
 * One attempt: goes on behind what is there, checks the whole, and gives the file its name. Bytes are written at their
 * own places, so that two processes that pull the same write the same.
 */
export async function pullFile(order: FileOrder, access: HubAccess, hooks: FileHooks): Promise<void> {
  const { file, folder, repo, commit } = order;
  const target = join(folder, file.target);
  const partial = `${target}.part`;
  if ((await sizeOf(target)) === file.bytes) return hooks.onBytes(file.bytes);
  await mkdir(dirname(target), { recursive: true });
  const handle = await open(partial, constants.O_RDWR | constants.O_CREAT, 0o644);
  try {
    const known = Math.min((await handle.stat()).size, file.bytes);
    const checks = new Checks(file);
    if (known > 0)
      for await (const chunk of createReadStream(partial, { end: known - 1 })) checks.add(chunk as Buffer);
    hooks.onBytes(known);
    if (known < file.bytes || file.bytes === 0) {
      await receive({ repo, commit, file, handle, known, checks }, access, hooks);
    }
    await handle.truncate(file.bytes);
    await handle.datasync();
    const fault = checks.fault();
    if (fault !== undefined) {
      await rm(partial, { force: true });
      hooks.onBytes(-file.bytes);
      throw new HubError(`${file.path}: ${fault}`);
    }
  } finally {
    await handle.close();
  }
  await rename(partial, target).catch(async (error: unknown) => {
    // Another process was faster.
    if ((await sizeOf(target)) !== file.bytes) throw error;
  });
}

interface Receiving {
  readonly repo: string;
  readonly commit: string;
  readonly file: CheckpointFile;
  readonly handle: FileHandle;
  readonly known: number;
  readonly checks: Checks;
}

async function receive(
  { repo, commit, file, handle, known, checks }: Receiving,
  access: HubAccess,
  { onBytes, signal, idle_ms }: FileHooks,
): Promise<void> {
  const idle = new AbortController();
  let timer = setTimeout(() => idle.abort(), idle_ms);
  const both = AbortSignal.any([signal, idle.signal]);
  let at = known;
  try {
    const { whole, body } = await openFile({ repo, commit, path: file.path, offset: known }, access, both);
    if (whole && at > 0) {
      onBytes(-at);
      at = 0;
      checks.restart();
    }
    for await (const chunk of body) {
      clearTimeout(timer);
      timer = setTimeout(() => idle.abort(), idle_ms);
      if (at + chunk.length > file.bytes)
        throw new HubError(`${file.path} is larger than the Hub's listing says.`);
      await writeAll(handle, chunk, at);
      checks.add(chunk);
      at += chunk.length;
      onBytes(chunk.length);
    }
  } catch (cause) {
    signal.throwIfAborted();
    if (cause instanceof HubError && !idle.signal.aborted) throw cause;
    const reason = idle.signal.aborted ? `no byte for ${idle_ms / 1000} seconds` : reasonOf(cause);
    if (isLocal(cause)) throw cause;
    throw new HubError(`${file.path} broke off: ${reason}`, { retryable: true, cause });
  } finally {
    clearTimeout(timer);
  }
  if (at < file.bytes) throw new HubError(`${file.path} ended too early.`, { retryable: true });
}

/** A fault of this machine's disk, such as no room, which no other attempt mends. */
function isLocal(error: unknown): boolean {
  return ['ENOSPC', 'EDQUOT', 'EROFS', 'EACCES', 'EIO'].includes((error as { code?: string }).code ?? '');
}

/** What the Hub says of a file's content. */
class Checks {
  #sha256!: Hash;
  #git!: Hash;

  constructor(private readonly file: CheckpointFile) {
    this.restart();
  }

  restart(): void {
    this.#sha256 = createHash('sha256');
    this.#git = createHash('sha1').update(`blob ${this.file.bytes}\0`);
  }

  add(chunk: Uint8Array): void {
    if (this.file.sha256 !== undefined) this.#sha256.update(chunk);
    else this.#git.update(chunk);
  }

  /** Undefined: it is what it should be. */
  fault(): string | undefined {
    const { sha256, blobId } = this.file;
    const [what, found, wanted] =
      sha256 === undefined
        ? ['git hash', this.#git.digest('hex'), blobId]
        : ['SHA-256', this.#sha256.digest('hex'), sha256];
    return wanted === undefined || found === wanted
      ? undefined
      : `its ${what} is ${found}; the Hub says ${wanted}. What had come was removed.`;
  }
}

async function writeAll(handle: FileHandle, chunk: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < chunk.length; ) {
    done += (await handle.write(chunk, done, chunk.length - done, position + done)).bytesWritten;
  }
}

export async function sizeOf(path: string): Promise<number | undefined> {
  return (await stat(path).catch(() => undefined))?.size;
}
