// What a browser loads of the console, by the manifest that Vite writes beside the build.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';

/**
 * @typedef {object} Chunk
 * @property {string} file
 * @property {boolean} [isEntry]
 * @property {readonly string[]} [imports] loaded with it
 * @property {readonly string[]} [dynamicImports] loaded when they are needed
 * @property {readonly string[]} [css]
 *
 * @typedef {Readonly<Record<string, Chunk>>} Manifest by source file
 */

/** What the entry asks for whichever page is wanted. */
export const APP = 'src/app.tsx';

/** First load of any page, in bytes after gzip. */
export const FIRST_LOAD_LIMIT_BYTES = 250_000;

/**
 * Every chunk that has to be there before `source` runs.
 * @param {Manifest} manifest
 * @param {string} source
 * @param {Map<string, Chunk>} [seen]
 * @returns {Map<string, Chunk>} by source
 */
function chunksOf(manifest, source, seen = new Map()) {
  const chunk = manifest[source];
  if (!chunk) throw new Error(`the build's manifest has no ${source}`);
  if (seen.has(source)) return seen;
  seen.set(source, chunk);
  for (const each of chunk.imports ?? []) chunksOf(manifest, each, seen);
  return seen;
}

/**
 * Every file that has to be there before any of `sources` runs.
 * @param {Manifest} manifest
 * @param {...string} sources
 * @returns {Set<string>} of file names
 */
export function filesOf(manifest, ...sources) {
  const chunks = sources.flatMap((source) => [...chunksOf(manifest, source).values()]);
  return new Set(chunks.flatMap(({ file, css = [] }) => [file, ...css]));
}

/**
 * Each page with what its first load takes after gzip: the page itself and what every page needs.
 * @param {string} folder the built console
 * @returns {{page: string, bytes: number, own_bytes: number}[]} the largest first
 */
export function firstLoads(folder) {
  /** @type {Manifest} */
  const manifest = JSON.parse(readFileSync(join(folder, '.vite/manifest.json'), 'utf8'));
  const entry = Object.keys(manifest).find((source) => manifest[source]?.isEntry);
  if (entry === undefined) throw new Error("the build's manifest has no entry");
  /** @type {Map<string, number>} */
  const sizes = new Map();
  /** @param {Iterable<string>} files */
  const sizeOf = (files) => {
    let sum = 0;
    for (const file of files) {
      if (!sizes.has(file)) sizes.set(file, gzipSync(readFileSync(join(folder, file))).length);
      sum += sizes.get(file) ?? 0;
    }
    return sum;
  };
  const html = gzipSync(readFileSync(join(folder, 'index.html'))).length;
  const common = filesOf(manifest, entry, APP);
  const shared = sizeOf(common) + html;
  const asked = [...chunksOf(manifest, entry).values()].flatMap(({ dynamicImports = [] }) => dynamicImports);
  return [...new Set(asked)]
    .filter((source) => source !== APP)
    .map((page) => {
      const own = [...filesOf(manifest, page)].filter((file) => !common.has(file));
      const own_bytes = sizeOf(own);
      return { page, bytes: shared + own_bytes, own_bytes };
    })
    .sort((a, b) => b.bytes - a.bytes);
}
