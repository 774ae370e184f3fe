import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { goldenFolder } from './golden-base.js';

export const CONFIG = 'adapter_config.json';
export const WEIGHTS = 'adapter_model.safetensors';

/** The bytes of one golden adapter's files. */
export function goldenFiles(adapter: string, model = 'llama-gqa'): Record<string, Uint8Array> {
  const folder = join(goldenFolder(model), 'adapters', adapter);
  return { [CONFIG]: readFileSync(join(folder, CONFIG)), [WEIGHTS]: readFileSync(join(folder, WEIGHTS)) };
}

/** A multipart form of files in the given order. */
export function formOf(files: Iterable<readonly [string, Uint8Array | string]>): FormData {
  const form = new FormData();
  for (const [name, bytes] of files) form.append('files', new Blob([bytes as BlobPart]), name);
  return form;
}

const METADATA = '__metadata__';

/** The same tensors under a header with this metadata: other bytes, and another digest. */
export function withMetadata(safetensors: Buffer, metadata: Readonly<Record<string, string>>): Buffer {
  const length = Number(safetensors.readBigUInt64LE(0));
  const header = JSON.parse(safetensors.subarray(8, 8 + length).toString()) as Record<string, object>;
  const text = JSON.stringify({ ...header, [METADATA]: { ...header[METADATA], ...metadata } });
  const padded = Buffer.from(text.padEnd(Math.ceil(text.length / 8) * 8));
  const size = Buffer.alloc(8);
  size.writeBigUInt64LE(BigInt(padded.length));
  return Buffer.concat([size, padded, safetensors.subarray(8 + length)]);
}
