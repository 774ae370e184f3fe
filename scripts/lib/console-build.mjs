import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { lastLines, run } from './command.mjs';
import { inRepository, repository } from './paths.mjs';
import { step } from './print.mjs';
import { StopError } from './stop-error.mjs';

const source = inRepository('apps', 'console');
const consoleFolder = inRepository('build', 'console');
const stampFile = join(consoleFolder, '.built-from');

/** Read while the console is built (apps/console/sampling-controls.ts); all else of the contracts is types. */
const CONTRACT = ['sampling.ts', 'openai/generation-fields.ts'].map((name) =>
  inRepository('libs', 'contracts', 'src', ...name.split('/')),
);

/** Names, sizes and times of all that goes into the console; its types are compiled away. */
function fingerprint() {
  const files = readdirSync(source, { recursive: true, encoding: 'utf8' })
    .map((name) => join(source, name))
    .filter((path) => statSync(path).isFile())
    .toSorted();
  const hash = createHash('sha256');
  for (const path of [inRepository('package-lock.json'), ...CONTRACT, ...files]) {
    const { size, mtimeMs } = statSync(path);
    hash.update(`${relative(repository, path)}\0${size}\0${mtimeMs}\n`);
  }
  return hash.digest('hex');
}

/** Bundles the console into build/console when something of it has changed since. */
export async function buildConsole() {
  const wanted = fingerprint();
  if (existsSync(stampFile) && readFileSync(stampFile, 'utf8') === wanted) return;
  await step('building the console', async () => {
    rmSync(stampFile, { force: true });
    const { code, output } = await run(
      process.execPath,
      [
        inRepository('node_modules', 'vite', 'bin', 'vite.js'),
        'build',
        source,
        '--config',
        join(source, 'vite.config.ts'),
        '--logLevel',
        'warn',
      ],
      // Whoever starts us may be a test, whose NODE_ENV would bundle React's development build.
      { cwd: repository, env: { ...process.env, NODE_ENV: 'production' } },
    );
    if (code !== 0) throw new StopError(`The console does not build:\n${lastLines(output, 40)}`);
    writeFileSync(stampFile, wanted);
  });
}
