// `npm start`: installs and builds what is missing, then runs everything until Ctrl-C (docs/architecture.md).
// Only Node's own modules may be imported before `prepare` has run npm ci: hence the import() below.
import { runCommand } from './lib/main.mjs';
import { HELP, readOptions } from './lib/options.mjs';
import { prepare } from './lib/prepare.mjs';
import { say } from './lib/print.mjs';
import { TOOLS } from './lib/tools.mjs';

await runCommand(async () => {
  const options = readOptions(process.argv.slice(2), process.env);
  if (options === 'help') {
    say(HELP);
    return 0;
  }
  await prepare({
    tools: [
      TOOLS.cmake,
      TOOLS.ninja,
      TOOLS.compiler,
      TOOLS.json,
      ...(options.redisUrl === undefined ? [TOOLS.redis] : []),
    ],
    tests: false,
    build: true,
  });
  const { serve } = await import('./lib/serve.mjs');
  return serve(options);
});
process.exit(); // the watch for npm's end may still run
