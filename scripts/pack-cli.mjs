// `npm run pack:cli [-- FOLDER]`: the command `lorikeet` as an npm package of its own, without a native build.
// Prints the path of the .tgz, which lies in FOLDER (default build/).
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { lastLines, run } from './lib/command.mjs';
import { runCommand } from './lib/main.mjs';
import { ensurePackages } from './lib/npm-packages.mjs';
import { inRepository } from './lib/paths.mjs';
import { say } from './lib/print.mjs';
import { StopError } from './lib/stop-error.mjs';
import { buildTypeScript } from './lib/typescript-build.mjs';

const staged = inRepository('build', 'cli-package');

/** Our libraries that the command runs; they import nothing but each other. */
const LIBRARIES = ['hub', 'merge', 'safetensors-js'];

/** Everything that goes into the package, in a folder of its own. */
function stage() {
  rmSync(staged, { recursive: true, force: true });
  mkdirSync(staged, { recursive: true });
  const { version } = JSON.parse(readFileSync(inRepository('package.json'), 'utf8'));
  const manifest = JSON.parse(readFileSync(inRepository('apps', 'cli', 'npm', 'package.json'), 'utf8'));
  writeFileSync(join(staged, 'package.json'), `${JSON.stringify({ ...manifest, version }, null, 2)}\n`);
  cpSync(inRepository('apps', 'cli', 'lorikeet.mjs'), join(staged, 'lorikeet.mjs'));
  cpSync(inRepository('docs', 'cli.md'), join(staged, 'README.md'));
  cpSync(inRepository('LICENSE'), join(staged, 'LICENSE'));
  const filter = (/** @type {string} */ path) => !path.endsWith('.map') && !path.endsWith('.test.js');
  cpSync(inRepository('dist', 'apps', 'cli', 'src'), join(staged, 'dist'), { recursive: true, filter });
  for (const name of LIBRARIES) {
    const compiled = inRepository('dist', 'libs', name, 'src');
    cpSync(compiled, join(staged, 'dist', 'libs', name), { recursive: true, filter });
  }
  for (const name of readdirSync(join(staged, 'dist'), { recursive: true, encoding: 'utf8' })) {
    if (!name.endsWith('.js')) continue;
    const outside = /from '(#(?!(?:hub|merge|safetensors)\/)[^']+)'/.exec(
      readFileSync(join(staged, 'dist', name), 'utf8'),
    );
    if (outside) throw new StopError(`${name} imports ${outside[1]}, which is not in the package`);
  }
}

await runCommand(async () => {
  const folder = resolve(process.argv[2] ?? inRepository('build'));
  await ensurePackages();
  await buildTypeScript();
  stage();
  const { code, output } = await run('npm', ['pack', '--silent', '--pack-destination', folder], {
    cwd: staged,
  });
  if (code !== 0) throw new StopError(`npm pack failed:\n${lastLines(output, 20)}`);
  say(join(folder, output.trim().split('\n').at(-1) ?? ''));
});
