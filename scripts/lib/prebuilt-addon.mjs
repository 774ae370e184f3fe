import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  writeFileSync,
} from 'node:fs';
import { join, relative } from 'node:path';

/** @typedef {{ sources: string, sha256: string, napi: number }} PrebuiltFacts */

/** The machines that one binary runs on, e.g. `linux-x64-glibc`. */
export function platformName() {
  const report = /** @type {{ header: { glibcVersionRuntime?: string } }} */ (process.report.getReport());
  const libc = report.header.glibcVersionRuntime === undefined ? 'musl' : 'glibc';
  return `${process.platform}-${process.arch}-${libc}`;
}

/** Where a prebuilt addon may lie: beside the sources (a release file), or as an optional npm package. @param {string} root */
export function prebuiltPlaces(root) {
  const name = platformName();
  return [join(root, 'prebuilt', name), join(root, 'node_modules', '@lorikeet', `native-${name}`)];
}

/** @param {string | Buffer} bytes */
const sha256 = (bytes) => createHash('sha256').update(bytes).digest('hex');

/** What an addon was built from: names and bytes of native/ without its tests and what they need. @param {string} root */
function nativeSources(root) {
  const hash = createHash('sha256');
  const folder = join(root, 'native');
  const files = readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((path) => !/^(test|simulator)/.test(relative(folder, path)));
  for (const path of files.toSorted())
    hash.update(`${relative(folder, path)}\0${sha256(readFileSync(path))}\n`);
  return hash.digest('hex');
}

/** @param {string} folder @returns {PrebuiltFacts | undefined} */
function factsOf(folder) {
  try {
    return JSON.parse(readFileSync(join(folder, 'lorikeet.json'), 'utf8'));
  } catch {
    return undefined;
  }
}

/** A library that does not fit would end the process that tries it. @param {string} path */
const loads = (path) =>
  spawnSync(
    process.execPath,
    ['-e', 'process.exit(typeof require(process.argv[1]).open === "function" ? 0 : 1)', path],
    {
      stdio: 'ignore',
    },
  ).status === 0;

/**
 * Puts a prebuilt addon in place of a build where one fits: made from these very sources, unchanged since, and one that
 * this Node can load.
 * @param {string} root  the repository
 * @returns {boolean} whether there is one; otherwise it has to be built
 */
export function usePrebuilt(root) {
  const build = join(root, 'build', 'native');
  if (existsSync(join(build, 'build.ninja'))) return false; // somebody works on it here
  const fits = prebuiltPlaces(root).filter((folder) => existsSync(join(folder, 'lorikeet.node')));
  if (fits.length === 0) return false;
  const sources = nativeSources(root);
  const napi = Number(process.versions.napi);
  for (const folder of fits) {
    const facts = factsOf(folder);
    const path = join(folder, 'lorikeet.node');
    if (facts?.sources !== sources || facts.napi > napi || sha256(readFileSync(path)) !== facts.sha256)
      continue;
    const place = join(build, 'lorikeet.node');
    if (existsSync(place) && sha256(readFileSync(place)) === facts.sha256) return true;
    if (!loads(path)) continue;
    mkdirSync(build, { recursive: true });
    copyFileSync(path, `${place}.new`);
    renameSync(`${place}.new`, place);
    return true;
  }
  return false;
}

/**
 * Makes a prebuilt addon of the one that was built here.
 * @param {string} root @param {string} built  its path @param {string} folder  where it goes
 */
export function writePrebuilt(root, built, folder) {
  mkdirSync(folder, { recursive: true });
  copyFileSync(built, join(folder, 'lorikeet.node'));
  /** @type {PrebuiltFacts} */
  const facts = { sources: nativeSources(root), sha256: sha256(readFileSync(built)), napi: 8 };
  writeFileSync(join(folder, 'lorikeet.json'), `${JSON.stringify(facts, null, 2)}\n`);
}
