import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { lastLines, run } from './command.mjs';
import { inRepository, repository } from './paths.mjs';
import { step } from './print.mjs';
import { StopError } from './stop-error.mjs';

const dist = inRepository('dist');
/** Bundled by Vite (console-build.mjs). */
const CONSOLE = join('apps', 'console');
const stampFile = join(dist, '.built-from');
const CONFIGURATION = ['package.json', 'package-lock.json', 'tsconfig.json', 'tsconfig.build.json'];

/** All files below `folder`. @param {string} folder @param {string} ending @returns {string[]} */
function filesBelow(folder, ending) {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith(ending) && !name.includes('node_modules'))
    .map((name) => join(folder, name));
}

function sources() {
  return ['apps', 'libs', 'migrations']
    .flatMap((folder) => filesBelow(inRepository(folder), '.ts'))
    .filter((path) => !path.endsWith('.test.ts') && !path.includes(CONSOLE))
    .toSorted();
}

/** Names, sizes and times of all that goes into dist/. @param {readonly string[]} files */
function fingerprint(files) {
  const hash = createHash('sha256');
  for (const path of [...CONFIGURATION.map((name) => inRepository(name)), ...files]) {
    const { size, mtimeMs } = statSync(path);
    hash.update(`${relative(repository, path)}\0${size}\0${mtimeMs}\n`);
  }
  return hash.digest('hex');
}

/** tsc leaves the output of a source that was deleted, and a deleted migration would still run. @param {readonly string[]} files */
function removeOrphans(files) {
  const wanted = new Set(files.map((path) => join(dist, relative(repository, path)).replace(/\.ts$/, '.js')));
  for (const path of filesBelow(dist, '.js')) {
    if (wanted.has(path)) continue;
    rmSync(path);
    rmSync(`${path}.map`, { force: true });
  }
}

/** Compiles TypeScript to dist/ when a source has changed since. */
export async function buildTypeScript() {
  const files = sources();
  const wanted = fingerprint(files);
  if (existsSync(stampFile) && readFileSync(stampFile, 'utf8') === wanted) return;
  await step('compiling TypeScript', async () => {
    rmSync(stampFile, { force: true });
    // Its incremental state believes in outputs that somebody may have removed.
    if (!existsSync(join(dist, 'apps'))) rmSync(dist, { recursive: true, force: true });
    const { code, output } = await run(
      process.execPath,
      [inRepository('node_modules', 'typescript', 'bin', 'tsc'), '-p', 'tsconfig.build.json'],
      { cwd: repository },
    );
    if (code !== 0) throw new StopError(`TypeScript does not compile:\n${lastLines(output, 40)}`);
    removeOrphans(files);
    mkdirSync(dist, { recursive: true });
    writeFileSync(stampFile, wanted);
  });
}
