import { stat } from 'node:fs/promises';
import { basename } from 'node:path';
import { ModelError } from '../model-error.js';
import type { Checkpoint, InspectNative } from './checkpoint.js';
import { checkFolder, folderCheckpoint } from './checkpoint-folder.js';
import { ggufCheckpoint } from './gguf-checkpoint.js';
import { ggufName, isGguf } from './gguf-files.js';

/** Throws ModelError unless what a setting names looks like a checkpoint. */
export async function checkCheckpoint(setting: string, path: string): Promise<void> {
  const found = await stat(path).catch(() => undefined);
  if (!found?.isFile()) return checkFolder(setting, path);
  if (!isGguf(path)) throw new ModelError(`${setting}: ${path} is neither a folder nor a .gguf file`);
}

/** Of what `checkCheckpoint` has passed; throws ModelError. */
export async function readCheckpoint(path: string, inspectNative: InspectNative): Promise<Checkpoint> {
  return isGguf(path) ? ggufCheckpoint(path, inspectNative) : folderCheckpoint(path, inspectNative);
}

/** What the model is called where nobody says otherwise. */
export function checkpointName(path: string): string {
  return isGguf(path) ? ggufName(path) : basename(path);
}
