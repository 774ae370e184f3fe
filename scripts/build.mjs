// `npm run build`: installs what is missing and builds the native addon and the TypeScript.
import { runCommand } from './lib/main.mjs';
import { prepare } from './lib/prepare.mjs';
import { TOOLS } from './lib/tools.mjs';

await runCommand(() =>
  prepare({
    tools: [TOOLS.cmake, TOOLS.ninja, TOOLS.compiler, TOOLS.json],
    tests: false,
    build: true,
  }),
);
