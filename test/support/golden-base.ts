import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { BaseModel } from '#contracts/base-model.js';
import { llamaBase } from './llama-base.js';
import { ROOT } from './stack.js';

/** The folder of a golden case. */
export function goldenFolder(name: string): string {
  return join(ROOT, 'test/golden/cases', name);
}

/** What an engine says when it has loaded a golden case's model. */
export function goldenBase(name: string): BaseModel {
  return { ...llamaBase(pathToFileURL(join(goldenFolder(name), 'model/config.json'))), name };
}
