import { readFileSync } from 'node:fs';

const EXPORT = /^export (?:declare )?(?:abstract )?(?:async )?(?:const|let|function\*?|class|enum) (\w+)/gm;

/**
 * Names that a file exports and no other file says. A word is a use wherever it stands, so what is found is certainly
 * unused; tests count as users.
 * @param {readonly string[]} sources  paths of the product's own files
 * @param {readonly string[]} users  paths of all that may use them
 * @param {(path: string) => string} read
 * @returns {string[]} `path: name`
 */
export function unusedExports(sources, users, read = (path) => readFileSync(path, 'utf8')) {
  /** @type {Map<string, Set<string>>} */
  const filesOf = new Map();
  for (const path of new Set([...sources, ...users])) {
    for (const [word] of read(path).matchAll(/\w+/g)) {
      const files = filesOf.get(word) ?? new Set();
      if (files.size < 2) filesOf.set(word, files.add(path));
    }
  }
  return sources.flatMap((path) =>
    [...read(path).matchAll(EXPORT)].flatMap(([, name = '']) =>
      (filesOf.get(name)?.size ?? 0) < 2 ? [`${path}: ${name}`] : [],
    ),
  );
}
