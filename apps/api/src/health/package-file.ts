import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** The package.json above a folder: sources lie less deep than what is built of them. */
export function findPackageFile(folder: string): string {
  const file = join(folder, 'package.json');
  if (existsSync(file)) return file;
  const parent = dirname(folder);
  if (parent === folder) throw new Error('there is no package.json above this file');
  return findPackageFile(parent);
}
