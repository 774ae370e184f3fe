import { mkdirSync } from 'node:fs';
import { waitForLock } from './file-lock.mjs';
import { buildConsole } from './console-build.mjs';
import { checkMachine } from './machine.mjs';
import { buildNative } from './native-build.mjs';
import { ensurePackages } from './npm-packages.mjs';
import { inRepository } from './paths.mjs';
import { say } from './print.mjs';
import { ensureTools } from './tools.mjs';
import { buildTypeScript } from './typescript-build.mjs';

/**
 * Installs and builds what is missing or out of date, one process of this folder at a time.
 * @param {{ tools: readonly import('./tools.mjs').Tool[], tests: boolean, build: boolean }} what
 */
export async function prepare({ tools, tests, build }) {
  checkMachine();
  mkdirSync(inRepository('build'), { recursive: true });
  const lock = await waitForLock(inRepository('build', '.lock'), () =>
    say('Another command installs or builds in this folder; waiting for it.'),
  );
  try {
    await ensureTools(tools);
    await ensurePackages();
    if (build) {
      await buildNative({ tests });
      await buildTypeScript();
      await buildConsole();
    }
  } finally {
    lock.release();
  }
}
