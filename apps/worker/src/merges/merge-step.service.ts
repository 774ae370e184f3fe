import { createReadStream } from 'node:fs';
import { mkdir, readdir, rm, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { Inject, Injectable } from '@nestjs/common';
import { pack } from 'tar-stream';
import { BlobLedger } from '#adapters/blobs/blob-ledger.service.js';
import type { Merge } from '#adapters/merges/merge.entity.js';
import { MergeStates } from '#adapters/merges/merge-states.service.js';
import { AdapterManifestSchema } from '#contracts/adapter-manifest.js';
import type { Merged } from '#merge/merge-adapter.js';
import { MergeError } from '#merge/merge-error.js';
import { type MergedSize, mergedSize } from '#merge/merged-size.js';
import type { Lease } from '#pipelines/leases/lease-rules.js';
import { mayPass } from '#pipelines/leases/passing-fault.js';
import { AppError } from '#runtime/app-error.js';
import type { Logger } from '#runtime/logger.js';
import type { SettingsOf } from '#runtime/settings.js';
import type { BlobInfo, BlobStore } from '#stores/blobs/blob-store.js';
import { BLOBS } from '#stores/stores.module.js';
import type { workerSettings } from '../settings.js';
import { WORKER_LOGGER, WORKER_SETTINGS } from '../worker-tokens.js';
import { baseFolder } from './base-checkpoint.js';
import { mergeInThread } from './merge-thread.js';

/** How often it may fail unexpectedly, or take the worker down with it. */
const MAX_ATTEMPTS = 3;
const AWAY_PAUSE_MS = 2_000;
const MANIFEST_LIMIT_BYTES = 256 * 2 ** 20;
const HOUR_MS = 3600_000;
/** Left to everybody else on the disk. */
const SPARE_DISK_BYTES = 2 ** 30;
/** Headers, and a head that gets a tensor of its own. */
const ARCHIVE_SLACK = 2;
/** The same merge is the same archive. */
const NO_TIME = new Date(0);

/** The lease is another's, or the merge is deleted. */
class MergeLost extends Error {}

/** Merges one version into the base's weights on this machine, and keeps the result as an archive for a while. */
@Injectable()
export class MergeStep {
  readonly #home: string;

  constructor(
    private readonly states: MergeStates,
    private readonly ledger: BlobLedger,
    @Inject(BLOBS) private readonly blobs: BlobStore,
    @Inject(WORKER_SETTINGS) private readonly settings: SettingsOf<typeof workerSettings>,
    @Inject(WORKER_LOGGER) private readonly logger: Logger,
  ) {
    this.#home = join(settings.dataDir, 'merges');
  }

  async step(lease: Lease, signal: AbortSignal): Promise<void> {
    const row = await this.states.begin(lease);
    if (!row) return; // deleted since it was claimed
    const folder = join(this.#home, row.id);
    try {
      if (row.attempts > MAX_ATTEMPTS)
        throw new MergeError(`The worker died ${MAX_ATTEMPTS} times merging it.`);
      await rm(folder, { recursive: true, force: true }); // of an attempt that a crash ended
      await this.#run(row, folder, signal);
    } catch (error) {
      signal.throwIfAborted();
      await this.#afterFault(row, error);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  }

  /** Frees what a killed worker left on this machine. */
  async sweep(): Promise<void> {
    const left = await readdir(this.#home).catch(() => []);
    if (left.length === 0) return;
    const open = await this.states.open();
    for (const id of left)
      if (!open.has(id)) await rm(join(this.#home, id), { recursive: true, force: true });
  }

  async #run(row: Merge, folder: string, signal: AbortSignal): Promise<void> {
    const checkpoint = await baseFolder(this.settings.mergeBasePath, this.settings.dataDir);
    const size = await mergedSize(checkpoint);
    await this.#takeRoom(row, size);
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const merged = await this.#merge(row, { checkpoint, target: join(folder, 'checkpoint') }, signal);
    const archive = await this.#archive(row, merged, {
      limitBytes: size.bytes * ARCHIVE_SLACK + 2 ** 20,
      signal,
    });
    const expiresAt = new Date(Date.now() + this.settings.mergeRetention_h * HOUR_MS);
    const kept = await this.states
      .ready(row, { archive, changed: merged.changed, expiresAt })
      .catch(async (error: unknown) => {
        await this.ledger.free([archive.sha256]).catch(() => undefined);
        throw error;
      });
    if (!kept) await this.ledger.free([archive.sha256]).catch(() => undefined);
    else this.logger.info({ merge: row.id, bytes: archive.bytes }, 'a version was merged');
  }

  /** On the disk a checkpoint and its archive stand beside each other for a while. */
  async #takeRoom(row: Merge, { bytes, workBytes }: MergedSize): Promise<void> {
    const limit = this.settings.mergeStorageBytes;
    const left = await this.states.reserve(row, bytes, limit);
    if (left !== undefined)
      throw new MergeError(
        `A merged checkpoint takes ${mib(bytes)}, and ${mib(left)} of ${mib(limit)} are free for merges ` +
          '(MERGE_STORAGE_BYTES): delete some, or wait until they expire.',
      );
    await mkdir(this.#home, { recursive: true, mode: 0o700 });
    const { bavail, bsize } = await statfs(this.#home);
    const free = bavail * bsize;
    if (free < bytes + workBytes + SPARE_DISK_BYTES)
      throw new MergeError(
        `Merging takes ${mib(bytes + workBytes)} of the worker's disk for a while, and ${mib(free)} are free, of which ` +
          `${mib(SPARE_DISK_BYTES)} stay so.`,
      );
  }

  async #merge(
    row: Merge,
    { checkpoint, target }: { readonly checkpoint: string; readonly target: string },
    signal: AbortSignal,
  ): Promise<Merged> {
    if (!(await this.blobs.stat(row.digest)))
      throw new MergeError(`${row.adapter}@${row.version} was deleted before it was merged.`);
    const json = await this.blobs.read(row.digest, MANIFEST_LIMIT_BYTES);
    const manifest = AdapterManifestSchema.parse(JSON.parse(json.toString('utf8')));
    const weights = await this.blobs.localPath(manifest.weights.sha256, signal);
    const lost = new AbortController();
    const count = (done: number, total: number): void => {
      this.states.count(row, done, total).then(
        (held) => held || lost.abort(new MergeLost()),
        () => undefined, // the next count finds out
      );
    };
    const { anyBase, dequantize } = row;
    return mergeInThread(
      { manifest, weights, checkpoint, target, anyBase, dequantize },
      {
        timeout_s: this.settings.mergeTimeout_s,
        onProgress: count,
        signal: AbortSignal.any([signal, lost.signal]),
      },
    );
  }

  /** Streams the checkpoint's files into one archive; each goes from the disk as soon as it is in. */
  async #archive(
    { adapter, version }: Merge,
    { folder, files }: Merged,
    { limitBytes, signal }: { readonly limitBytes: number; readonly signal: AbortSignal },
  ): Promise<BlobInfo> {
    const archive = pack();
    const filled = (async () => {
      for (const { name, bytes } of files) {
        const path = `${adapter}-${version}-merged/${name}`;
        const entry = archive.entry({ name: path, size: bytes, mode: 0o644, mtime: NO_TIME });
        await pipeline(createReadStream(join(folder, name)), entry, { signal });
        await rm(join(folder, name));
      }
      archive.finalize();
    })().catch((error: unknown) => {
      archive.destroy(error as Error);
      throw error;
    });
    const [blob] = await Promise.all([
      this.blobs.put(Readable.from(archive), { limitBytes, signal }),
      filled,
    ]);
    return blob;
  }

  async #afterFault(row: Merge, error: unknown): Promise<void> {
    if (error instanceof MergeLost) return;
    if (mayPass(error)) return this.states.later(row, new Date(Date.now() + AWAY_PAUSE_MS));
    const isTold =
      error instanceof MergeError || (error instanceof AppError && error.code !== 'internal_error');
    if (isTold) return this.states.fail(row, error.message);
    this.logger.error({ err: error, merge: row.id, attempt: row.attempts }, 'merging failed unexpectedly');
    if (row.attempts >= MAX_ATTEMPTS)
      return this.states.fail(row, 'Merging failed unexpectedly; the log says why.');
    await this.states.later(row, new Date(Date.now() + AWAY_PAUSE_MS));
  }
}

const mib = (bytes: number): string => `${Math.ceil(bytes / 2 ** 20)} MiB`;
