import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { Readable } from 'node:stream';
import { extract } from 'tar-stream';
import { BackupError, MANIFEST, MANIFEST_HASH, type Manifest, ManifestSchema } from './archive.js';

/** Larger ones are streamed. */
const SMALL_BYTES = 256 * 2 ** 20;

/** Each entry in its order; `body` must be read to its end before the next one comes. */
export async function* entriesOf(path: string): AsyncGenerator<{ name: string; body: Readable }> {
  const tar = extract();
  const file = createReadStream(path);
  file.on('error', (error) => tar.destroy(error));
  file.pipe(tar);
  try {
    for await (const entry of tar) {
      yield { name: entry.header.name, body: entry as unknown as Readable };
      entry.resume();
    }
  } finally {
    file.destroy();
  }
}

/** Reads the whole backup and compares every byte with its manifest; throws BackupError at the first difference. */
export async function verifyArchive(path: string): Promise<Manifest> {
  const seen = new Map<string, { bytes: number; sha256: string }>();
  let manifest: Buffer | undefined;
  let hash: string | undefined;
  try {
    for await (const { name, body } of entriesOf(path)) {
      if (name === MANIFEST) manifest = await bufferOf(body);
      else if (name === MANIFEST_HASH) hash = (await bufferOf(body)).toString();
      else if (seen.has(name)) throw new BackupError(`${path} is damaged: ${name} is in it twice.`);
      else seen.set(name, await measure(body));
    }
  } catch (error) {
    throw error instanceof BackupError ? error : unreadable(path, error);
  }
  if (!manifest || hash === undefined)
    throw new BackupError(`${path} is incomplete: it ends before its manifest.`);
  if (createHash('sha256').update(manifest).digest('hex') !== hash) {
    throw new BackupError(`${path} is damaged: its manifest does not have its checksum.`);
  }
  const parsed = ManifestSchema.safeParse(parseJson(manifest));
  if (!parsed.success) throw new BackupError(`${path} is no backup that this version can read.`);
  compare(path, parsed.data, seen);
  return parsed.data;
}

function compare(
  path: string,
  { entries }: Manifest,
  seen: ReadonlyMap<string, { bytes: number; sha256: string }>,
) {
  for (const [name, { bytes, sha256 }] of Object.entries(entries)) {
    const found = seen.get(name);
    if (!found) throw new BackupError(`${path} is damaged: ${name} is missing.`);
    if (found.bytes !== bytes || found.sha256 !== sha256) {
      throw new BackupError(`${path} is damaged: ${name} does not have its checksum.`);
    }
  }
  for (const name of seen.keys()) {
    if (!Object.hasOwn(entries, name))
      throw new BackupError(`${path} is damaged: ${name} does not belong to it.`);
  }
}

async function measure(body: Readable): Promise<{ bytes: number; sha256: string }> {
  const hash = createHash('sha256');
  let bytes = 0;
  for await (const chunk of body as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    hash.update(chunk);
  }
  return { bytes, sha256: hash.digest('hex') };
}

export async function bufferOf(body: Readable): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of body as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > SMALL_BYTES) throw new BackupError('an entry of the backup is larger than it can be');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function parseJson(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString());
  } catch {
    return undefined;
  }
}

function unreadable(path: string, error: unknown): BackupError {
  const reason = error instanceof Error ? error.message : String(error);
  return new BackupError(`${path} is damaged, incomplete or no backup: ${reason}`);
}
