import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { openCheckpoint } from './checkpoint.js';

export interface MergedSize {
  /** About what the merged checkpoint takes. */
  readonly bytes: number;
  /** Of its files while it is made: a dequantized copy of the base beside it. */
  readonly workBytes: number;
}

/** What merging into the checkpoint will take, told before anything is read. Throws MergeError. */
export async function mergedSize(folder: string): Promise<MergedSize> {
  const { quantized, shards, beside } = await openCheckpoint(folder);
  let bytes = 0;
  for (const name of [...shards, ...beside]) bytes += (await stat(join(folder, name))).size;
  if (!quantized) return { bytes, workBytes: bytes };
  const dense = Math.ceil((bytes * 16) / (quantized.packed?.bits ?? 16));
  return { bytes: dense, workBytes: 2 * dense };
}
