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
