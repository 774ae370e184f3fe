// `npm run dev`: `npm start`, and whenever a source is saved, what it concerns is built and started again.
import { watch } from 'node:fs';
import { affectedBy } from './lib/affected.mjs';
import { runCommand } from './lib/main.mjs';
import { buildNative } from './lib/native-build.mjs';
import { HELP, readOptions } from './lib/options.mjs';
import { inRepository } from './lib/paths.mjs';
import { prepare } from './lib/prepare.mjs';
import { complain, say } from './lib/print.mjs';
import { TOOLS } from './lib/tools.mjs';
import { buildTypeScript } from './lib/typescript-build.mjs';

/** An editor saves several files at once. */
const SETTLE_MS = 300;

/** @param {import('./lib/servers.mjs').Servers} servers  already running */
function followSources(servers) {
  /** @type {Set<string>} */
  const changed = new Set();
  let running = Promise.resolve();
  /** @type {NodeJS.Timeout | undefined} */
  let settled;
  const rebuild = async () => {
    const { native, apps } = affectedBy([...changed]);
    changed.clear();
    if (apps.length === 0) return;
    try {
      if (native) await buildNative({ tests: false });
      await buildTypeScript();
      await Promise.all(apps.map((app) => servers.restart(app)));
      say(`Started again: ${apps.join(', ')}`);
    } catch (error) {
      complain(error instanceof Error ? error.message : String(error)); // what runs goes on
    }
  };
  for (const folder of ['apps', 'libs', 'native']) {
    watch(inRepository(folder), { recursive: true }, (_event, name) => {
      if (name === null) return;
      changed.add(`${folder}/${name}`);
      clearTimeout(settled);
      settled = setTimeout(() => {
        running = running.then(rebuild);
      }, SETTLE_MS);
    }).unref();
  }
  say('Watching apps/, libs/ and native/.');
}

await runCommand(async () => {
  const options = readOptions(process.argv.slice(2), process.env);
  if (options === 'help') {
    say(HELP.replaceAll('npm start', 'npm run dev'));
    return 0;
  }
  const { cmake, ninja, compiler, json, redis } = TOOLS;
  await prepare({
    tools: [cmake, ninja, compiler, json, ...(options.redisUrl === undefined ? [redis] : [])],
    tests: false,
    build: true,
  });
  const { serve } = await import('./lib/serve.mjs');
  return serve(options, followSources);
});
process.exit();
