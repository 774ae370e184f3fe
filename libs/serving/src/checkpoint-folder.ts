import { readdir, stat } from 'node:fs/promises';
import { ModelError } from './model-error.js';

/** Throws ModelError unless the folder that a setting names looks like a checkpoint. */
export async function checkFolder(setting: string, path: string): Promise<void> {
  const found = await stat(path).catch(() => undefined);
  if (!found?.isDirectory()) throw new ModelError(`${setting}: there is no folder ${path}`);
  const names = new Set(await readdir(path));
  for (const name of ['config.json', 'tokenizer.json']) {
    if (!names.has(name)) throw new ModelError(`${setting}: ${path} holds no ${name}`);
  }
}
