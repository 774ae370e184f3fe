// `npm run package -- FOLDER`: everything that the servers need at run time, and nothing else (docs/deployment.md).
import { resolve } from 'node:path';
import { runCommand } from './lib/main.mjs';
import { prepare } from './lib/prepare.mjs';
import { say } from './lib/print.mjs';
import { StopError } from './lib/stop-error.mjs';
import { TOOLS } from './lib/tools.mjs';

await runCommand(async () => {
  const [folder, ...more] = process.argv.slice(2);
  if (folder === undefined || more.length > 0) throw new StopError('Usage: npm run package -- FOLDER');
  await prepare({ tools: [TOOLS.cmake, TOOLS.ninja, TOOLS.compiler, TOOLS.json], tests: false, build: true });
  const { packageServers } = await import('./lib/server-package.mjs');
  // npm runs us in the package's folder; a path is meant from where the operator stands.
  const target = resolve(process.env.INIT_CWD ?? '.', folder);
  const { files, bytes, packages } = packageServers(target);
  say(`${target}: ${files} files, ${(bytes / 2 ** 20).toFixed(0)} MiB, ${packages} npm packages`);
});
process.exit(); // the watch for npm's end may still run
