import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { rm } from 'node:fs/promises';
import type { BlobInfo, BlobStore } from '#stores/blobs/blob-store.js';
import { MLX_WEIGHTS_FILE, settleNames, WEIGHTS_FILE } from '../intake/upload-parts.js';
import { final, ImportError } from './import-error.js';
import type { ImportOrigin, OpenedFile, OriginFile, OriginLimits } from './import-origin.js';
import { REQUIRED_FILES } from './import-source.js';
import { PartialFile } from './partial-file.js';
import type { FileProgress } from './version-import.entity.js';

/** How often progress is made durable and told. */
const COUNT_EVERY_MS = 1_000;

export interface FetchOrder {
  readonly versionId: string;
  /** What is known of earlier attempts. */
  readonly progress: Readonly<Record<string, FileProgress>>;
  /** Expected of the weights. */
  readonly sha256: string | undefined;
}

/** Told about once a second; what it throws ends the fetching. */
export type OnProgress = (progress: Readonly<Record<string, FileProgress>>) => Promise<void>;

/** Brings an origin's files into the blob store, by way of files on this machine from which an attempt can go on. */
export class FileFetcher {
  constructor(
    /** Holds a folder per import. */
    private readonly folder: string,
    private readonly blobs: BlobStore,
    private readonly limits: OriginLimits,
  ) {}

  /** The stored files by name. `stored` hears of each blob at once, to free it should the import fail later. */
  async fetch(
    origin: ImportOrigin,
    order: FetchOrder,
    hooks: {
      readonly onProgress: OnProgress;
      readonly stored: (sha256: string) => void;
      readonly signal: AbortSignal;
    },
  ): Promise<Map<string, BlobInfo>> {
    const progress: Record<string, FileProgress> = { ...initialProgress(origin), ...order.progress };
    const partials = new Map<OriginFile, PartialFile>();
    for (const file of origin.files) {
      this.#checkSize(file.name, file.bytes);
      const count = (next: FileProgress): Promise<void> => {
        progress[file.name] = next;
        return hooks.onProgress(progress);
      };
      const partial = await this.#download(file, { order, count, signal: hooks.signal });
      if (partial) partials.set(file, partial);
      else if (isNeeded(file.name, origin)) throw final(`The source has no ${file.name}.`);
      else delete progress[file.name];
    }
    const names = settleNames(new Map([...partials.keys()].map(({ name }) => [name, true])));
    const missing = REQUIRED_FILES.find((name) => !names.has(name));
    if (missing !== undefined) throw final(`The source has no ${missing}.`);
    const hasPeft = [...partials.keys()].some(({ name }) => name === WEIGHTS_FILE);
    const files = new Map<string, BlobInfo>();
    for (const [file, partial] of partials) {
      const limitBytes = this.limits.bytesOf(file.name);
      const info = await this.blobs.put(partial.read(), { limitBytes, signal: hooks.signal });
      hooks.stored(info.sha256);
      const isWeights = file.name === WEIGHTS_FILE || (file.name === MLX_WEIGHTS_FILE && !hasPeft);
      checkHash(file, info, isWeights ? order.sha256 : undefined);
      files.set(file.name, info);
    }
    return settleNames(files);
  }

  async forget(versionId: string): Promise<void> {
    await rm(join(this.folder, versionId), { recursive: true, force: true });
  }

  /** Undefined when the source does not have the file. */
  async #download(
    file: OriginFile,
    {
      order,
      count,
      signal,
    }: { order: FetchOrder; count: (next: FileProgress) => Promise<void>; signal: AbortSignal },
  ): Promise<PartialFile | undefined> {
    const before = await this.#before(file.name, order);
    if (before && before.offset === before.totalBytes) return before.partial;
    const at = { offset: before?.offset ?? 0, validator: before?.validator };
    const opened = await file.open(at, signal);
    if (!opened) return undefined;
    this.#checkSize(file.name, opened.totalBytes);
    const partial =
      opened.offset > 0 && before
        ? before.partial
        : this.#partial(order.versionId, file.name, opened.validator);
    if (opened.offset === 0) await partial.removeOthers();
    await write(opened, partial, count);
    return partial;
  }

  /** What an earlier attempt left on this machine that can be gone on with. */
  async #before(name: string, { versionId, progress }: FetchOrder) {
    const { validator = null, doneBytes = 0, totalBytes = null } = progress[name] ?? {};
    if (validator === null) return undefined;
    const partial = this.#partial(versionId, name, validator);
    const offset = Math.min(await partial.bytes(), doneBytes);
    return offset === 0 ? undefined : { partial, offset, validator, totalBytes };
  }

  #partial(versionId: string, name: string, validator: string | undefined): PartialFile {
    return new PartialFile(join(this.folder, versionId), name, validator ?? randomUUID());
  }

  #checkSize(name: string, bytes: number | undefined): void {
    const limitBytes = this.limits.bytesOf(name);
    if (bytes !== undefined && bytes > limitBytes) {
      throw final(`${name} has ${bytes} bytes; ${limitBytes} are allowed.`);
    }
  }
}

/** Weights may come under MLX-LM's name instead, where the source may have that. */
function isNeeded(name: string, { files }: ImportOrigin): boolean {
  const mayBeMlx = name === WEIGHTS_FILE && files.some((file) => file.name === MLX_WEIGHTS_FILE);
  return REQUIRED_FILES.includes(name) && !mayBeMlx;
}

function initialProgress({ files }: ImportOrigin): Record<string, FileProgress> {
  return Object.fromEntries(
    files.map(({ name, bytes }) => [name, { doneBytes: 0, totalBytes: bytes ?? null, validator: null }]),
  );
}

/** Writes the body down, counting as it goes and once more where it breaks off. */
async function write(
  { offset, totalBytes, validator, body }: OpenedFile,
  partial: PartialFile,
  count: (next: FileProgress) => Promise<void>,
): Promise<void> {
  const writer = await partial.openAt(offset);
  const tell = async (total: number | null): Promise<void> => {
    await writer.sync();
    await count({ doneBytes: writer.bytes, totalBytes: total, validator: validator ?? null });
  };
  try {
    let counted_ms = Date.now();
    try {
      for await (const chunk of body as AsyncIterable<Buffer>) {
        await writer.append(chunk);
        if (Date.now() - counted_ms < COUNT_EVERY_MS) continue;
        await tell(totalBytes ?? null);
        counted_ms = Date.now();
      }
    } catch (error) {
      await tell(totalBytes ?? null);
      throw error;
    }
    await tell(totalBytes ?? writer.bytes);
    if (totalBytes !== undefined && writer.bytes !== totalBytes) {
      throw new ImportError('The source ended its answer too early.', { retryable: true });
    }
  } finally {
    body.destroy();
    await writer.close();
  }
}

function checkHash({ name, sha256 }: OriginFile, info: BlobInfo, expected: string | undefined): void {
  if (expected !== undefined && expected !== info.sha256) {
    throw final(`The SHA-256 of ${name} is ${info.sha256}; the import expects ${expected}.`);
  }
  if (sha256 !== undefined && sha256 !== info.sha256) {
    throw final(`The SHA-256 of ${name} is ${info.sha256}; its source says ${sha256}.`);
  }
}
