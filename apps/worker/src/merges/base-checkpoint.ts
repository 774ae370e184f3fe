import { stat } from 'node:fs/promises';
import { HubError } from '#hub/hub-error.js';
import { pulledPlace } from '#hub/pulled-place.js';
import { MergeError } from '#merge/merge-error.js';

const HUB = 'hf://';
const WAY_OUT = '`lorikeet adapters merge` merges on a machine that has one.';

/** The folder with the base's checkpoint on this machine. Throws MergeError where there is none. */
export async function baseFolder(place: string | undefined, dataDir: string): Promise<string> {
  if (place === undefined)
    throw new MergeError(
      `This worker has no checkpoint of the base model (MERGE_BASE_PATH is not set). ${WAY_OUT}`,
    );
  const folder = place.startsWith(HUB) ? await pulled(place, dataDir) : place;
  if (folder.endsWith('.gguf'))
    throw new MergeError(
      `The base model is a GGUF file (${place}): an adapter is merged into the Hugging Face checkpoint that it was made ` +
        `from. Set MERGE_BASE_PATH to that one and order with any_base, or: ${WAY_OUT}`,
    );
  const found = await stat(folder).catch(() => undefined);
  if (found?.isDirectory()) return folder;
  throw new MergeError(`There is no checkpoint at ${place} on this worker's machine. ${WAY_OUT}`);
}

async function pulled(place: string, dataDir: string): Promise<string> {
  try {
    const folder = await pulledPlace(place, dataDir);
    if (folder !== undefined) return folder;
  } catch (cause) {
    if (!(cause instanceof HubError)) throw cause;
    throw new MergeError(`MERGE_BASE_PATH=${place}: ${cause.message}`);
  }
  throw new MergeError(`${place} was not pulled to this worker's machine. ${WAY_OUT}`);
}
