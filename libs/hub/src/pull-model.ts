import { mkdir, readFile, rename, statfs, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type CheckpointFile, checkpointFiles, INDEX_FILE, shardsOf } from './checkpoint-files.js';
import { type HubAccess, type HubListing, listFiles } from './hub-client.js';
import { HubError } from './hub-error.js';
import type { HubReference } from './hub-reference.js';
import { pullFile, sizeOf } from './pull-file.js';

/** Stands in a folder whose pull is complete, and says what it holds. */
const PULLED_FILE = '.lorikeet-pull.json';

export interface PullProgress {
  /** What is on its way. */
  readonly file: string;
  readonly doneBytes: number;
  readonly totalBytes: number;
}

export interface PullOptions {
  readonly access: HubAccess;
  /** The folder for a commit. */
  readonly folderOf: (commit: string) => string;
  readonly onProgress?: (progress: PullProgress) => void;
  /** Told of attempts that failed and are made again. */
  readonly onRetry?: (message: string) => void;
  readonly signal: AbortSignal;
  readonly patience?: Partial<Patience>;
}

export interface Patience {
  /** Attempts in a row without a byte. */
  readonly attempts: number;
  /** The same, of asking what a revision is. */
  readonly listings: number;
  /** Before the second attempt; doubles with each further one. */
  readonly first_ms: number;
  readonly idle_ms: number;
}
const PATIENCE: Patience = { attempts: 8, listings: 8, first_ms: 1_000, idle_ms: 60_000 };
const LONGEST_MS = 60_000;

export interface Pulled {
  readonly repo: string;
  readonly commit: string;
  readonly folder: string;
  readonly files: readonly { readonly name: string; readonly bytes: number }[];
  /** It had been there already. */
  readonly known: boolean;
}

/** Brings a checkpoint into a folder, which gets its name when all of it is there and checked. Throws HubError. */
export async function pullModel(reference: HubReference, options: PullOptions): Promise<Pulled> {
  const patience = { ...PATIENCE, ...options.patience };
  const tries = new Tries(patience, options);
  const listing = await new Tries({ ...patience, attempts: patience.listings }, options).run(() =>
    listFiles(reference, options.access, options.signal),
  );
  const folder = options.folderOf(listing.commit);
  const known = await readPulled(folder);
  if (
    known &&
    known.commit === listing.commit &&
    known.repo === reference.repo &&
    (await isWhole(folder, known))
  )
    return { ...known, folder, known: true };
  if ((await sizeOf(folder)) !== undefined) {
    throw new HubError(
      `${folder} is there already and holds something else; remove it or name another folder.`,
    );
  }
  const partial = `${folder}.${listing.commit.slice(0, 12)}.partial`;
  await mkdir(partial, { recursive: true });
  try {
    return await complete(reference, listing, { folder, partial, options, tries });
  } catch (error) {
    const other = await readPulled(folder);
    if (other?.commit !== listing.commit) throw error;
    return { ...other, folder, known: true }; // another process was faster
  }
}

async function complete(
  reference: HubReference,
  listing: HubListing,
  { folder, ...work }: Work & { readonly folder: string },
): Promise<Pulled> {
  const files = await new Pull(reference, listing, work).run();
  const pulled = {
    repo: reference.repo,
    commit: listing.commit,
    files: files.map(({ target, bytes }) => ({ name: target, bytes })),
  };
  await writeFile(join(work.partial, PULLED_FILE), `${JSON.stringify(pulled, undefined, 2)}\n`);
  await rename(work.partial, folder);
  return { ...pulled, folder, known: false };
}

type Marker = Omit<Pulled, 'folder' | 'known'>;

export async function readPulled(folder: string): Promise<Marker | undefined> {
  const text = await readFile(join(folder, PULLED_FILE), 'utf8').catch(() => undefined);
  return text === undefined ? undefined : (JSON.parse(text) as Marker);
}

async function isWhole(folder: string, { files }: Marker): Promise<boolean> {
  for (const { name, bytes } of files) if ((await sizeOf(join(folder, name))) !== bytes) return false;
  return true;
}

interface Work {
  readonly partial: string;
  readonly options: PullOptions;
  readonly tries: Tries;
}

class Pull {
  #doneBytes = 0;
  #totalBytes = 0;

  constructor(
    private readonly reference: HubReference,
    private readonly listing: HubListing,
    private readonly work: Work,
  ) {}

  async run(): Promise<readonly CheckpointFile[]> {
    const { folder } = this.reference;
    const first = checkpointFiles(this.listing.files, folder);
    const index = first.find(({ target }) => target === INDEX_FILE);
    if (index) await this.#file(index);
    const shards = index && shardsOf(await readFile(join(this.work.partial, index.target), 'utf8'));
    const files = shards ? checkpointFiles(this.listing.files, folder, shards) : first;
    this.#totalBytes = files.reduce((sum, { bytes }) => sum + bytes, 0);
    await this.#checkRoom(files);
    for (const file of files) if (file !== index && file.target !== index?.target) await this.#file(file);
    return files;
  }

  async #file(file: CheckpointFile): Promise<void> {
    const { partial, tries, options } = this.work;
    const { repo } = this.reference;
    const order = { repo, commit: this.listing.commit, file, folder: partial };
    let counted = 0;
    await tries.run(async (onMoved) => {
      this.#doneBytes -= counted; // the attempt counts anew what is there
      counted = 0;
      await pullFile(order, options.access, {
        signal: options.signal,
        idle_ms: tries.patience.idle_ms,
        onBytes: (bytes) => {
          counted += bytes;
          this.#doneBytes += bytes;
          onMoved(counted);
          options.onProgress?.({
            file: file.target,
            doneBytes: this.#doneBytes,
            totalBytes: this.#totalBytes,
          });
        },
      });
    });
  }

  async #checkRoom(files: readonly CheckpointFile[]): Promise<void> {
    const { partial } = this.work;
    const { bavail, bsize } = await statfs(dirname(partial));
    let wanted = 0;
    for (const { target, bytes } of files) {
      const there =
        (await sizeOf(join(partial, target))) ?? (await sizeOf(join(partial, `${target}.part`))) ?? 0;
      wanted += Math.max(0, bytes - there);
    }
    if (wanted <= bavail * bsize) return;
    throw new HubError(
      `${wanted} more bytes are needed in ${dirname(partial)}, which has room for ${bavail * bsize}.`,
    );
  }
}

/** Makes an attempt again while what failed may succeed later, and bytes come now and then. */
class Tries {
  constructor(
    readonly patience: Patience,
    private readonly hooks: Pick<PullOptions, 'onRetry' | 'signal'>,
  ) {}

  async run<T>(attempt: (onMoved: (bytes: number) => void) => Promise<T>): Promise<T> {
    let most = 0;
    for (let fruitless = 1; ; fruitless += 1) {
      let moved = false;
      try {
        return await attempt((bytes) => {
          moved ||= bytes > most;
          most = Math.max(most, bytes);
        });
      } catch (error) {
        if (!(error instanceof HubError) || !error.retryable) throw error;
        if (moved) fruitless = 1;
        if (fruitless >= this.patience.attempts) throw error;
        this.hooks.onRetry?.(error.message);
        const own_ms = Math.min(this.patience.first_ms * 2 ** (fruitless - 1), LONGEST_MS);
        await sleep(Math.max(own_ms, Math.min(error.retryAfter_ms ?? 0, 3600_000)), undefined, {
          signal: this.hooks.signal,
        });
      }
    }
  }
}
