import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { type Checkpoint, digestedFiles } from './checkpoint.js';
import type { MergeOrder } from './merge-adapter.js';

/** How many bytes of weights were read, of how many: for the digest, to be dequantized, to be merged. */
export class Progress {
  #done = 0;

  private constructor(
    private readonly tell: MergeOrder['onProgress'],
    private total: number,
  ) {}

  static async of({ anyBase, onProgress }: MergeOrder, base: Checkpoint): Promise<Progress> {
    const { folder, shards } = base;
    const digested = anyBase ? [] : await digestedFiles(folder);
    return new Progress(onProgress, await bytesOf(folder, [...digested, ...shards]));
  }

  /** One more checkpoint is read. */
  async more({ folder, shards }: Checkpoint): Promise<void> {
    this.total += await bytesOf(folder, shards);
  }

  move(bytes: number): void {
    this.#done += bytes;
    this.tell?.(this.#done, this.total);
  }

  /** Headers, and what a packed module has beside its codes, were not counted. */
  end(): void {
    this.move(this.total - this.#done);
  }
}

async function bytesOf(folder: string, names: readonly string[]): Promise<number> {
  let bytes = 0;
  for (const name of names) bytes += (await stat(join(folder, name))).size;
  return bytes;
}
