import { existsSync, readFileSync } from 'node:fs';

/** Of the package (this file is dist/version.js there), or of the clone (dist/apps/cli/src/version.js). */
const PLACES = ['../package.json', '../../../../package.json'];

export const VERSION = readVersion();

function readVersion(): string {
  const places = PLACES.map((place) => new URL(place, import.meta.url));
  const file = places.find((place) => existsSync(place));
  if (file === undefined) throw new Error('the package.json of the command is missing');
  const { version } = JSON.parse(readFileSync(file, 'utf8')) as { version: string };
  return version;
}
