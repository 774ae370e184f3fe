// `npm run pack:native [-- FOLDER]`: the native addon for machines like this one, with which `npm start` needs no compiler.
// FOLDER defaults to prebuilt/ in the clone; put its content there on another machine, into a clone of the same sources.
import { join, resolve } from 'node:path';
import { runCommand } from './lib/main.mjs';
import { nativeFolder } from './lib/native-build.mjs';
import { inRepository, repository } from './lib/paths.mjs';
import { platformName, writePrebuilt } from './lib/prebuilt-addon.mjs';
import { prepare } from './lib/prepare.mjs';
import { say } from './lib/print.mjs';
import { TOOLS } from './lib/tools.mjs';

await runCommand(async () => {
  const { cmake, ninja, compiler, json } = TOOLS;
  await prepare({ tools: [cmake, ninja, compiler, json], tests: false, build: true });
  const folder = join(resolve(process.argv[2] ?? inRepository('prebuilt')), platformName());
  writePrebuilt(repository, join(nativeFolder, 'lorikeet.node'), folder);
  say(folder);
});
