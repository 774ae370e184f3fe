import { readFileSync } from 'node:fs';

/** The package's version, from the root of the clone (this file is dist/apps/cli/src/version.js). */
export const VERSION = readVersion(new URL('../../../../package.json', import.meta.url));

function readVersion(file: URL): string {
  const { version } = JSON.parse(readFileSync(file, 'utf8')) as { version: string };
  return version;
}
