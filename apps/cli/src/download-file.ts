import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { rename, rm, stat } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { ReadableStream } from 'node:stream/web';
import type { ApiClient } from './api-client.js';
import { CommandError } from './faults.js';

export interface Download {
  readonly target: string;
  /** Hex; what does not hash to it never gets the target's name. */
  readonly sha256: string;
  /** Replace a file of that name. */
  readonly replace: boolean;
  /** Go on where an interrupted download of the same file ended. */
  readonly resume: boolean;
  readonly onBytes: (bytes: number) => void;
  readonly signal: AbortSignal;
}

/** Downloads into `target.part`, checks it, and renames it. */
export async function downloadFile(client: ApiClient, path: string, download: Download): Promise<void> {
  const { target, sha256, onBytes, signal } = download;
  if (!download.replace && (await sizeOf(target)) !== undefined)
    throw new CommandError(`${target} is there already; use --force to replace it`);
  const partial = `${target}.part`;
  if (!download.resume) await rm(partial, { force: true });
  const hash = createHash('sha256');
  const known = (await sizeOf(partial)) ?? 0;
  if (known > 0) {
    for await (const chunk of createReadStream(partial) as AsyncIterable<Buffer>) hash.update(chunk);
  }
  if (known > 0 && hash.copy().digest('hex') === sha256) {
    onBytes(known);
    return rename(partial, target);
  }
  const headers: Record<string, string> =
    known > 0 ? { range: `bytes=${known}-`, 'if-range': `"${sha256}"` } : {};
  const response = await client.fetch('GET', path, { headers });
  const goesOn = response.status === 206;
  const whole = goesOn ? hash : createHash('sha256');
  if (goesOn) onBytes(known);
  await pipeline(
    Readable.fromWeb((response.body ?? new Blob([]).stream()) as ReadableStream<Uint8Array>),
    async function* count(chunks: AsyncIterable<Uint8Array>) {
      for await (const chunk of chunks) {
        whole.update(chunk);
        onBytes(chunk.length);
        yield chunk;
      }
    },
    createWriteStream(partial, { flags: goesOn ? 'a' : 'w' }),
    { signal },
  );
  if (whole.digest('hex') !== sha256) {
    await rm(partial, { force: true });
    throw new CommandError(`${target}: what arrived is not what was uploaded (SHA-256 differs)`);
  }
  await rename(partial, target);
}

async function sizeOf(path: string): Promise<number | undefined> {
  const found = await stat(path).catch(() => undefined);
  return found?.size;
}
