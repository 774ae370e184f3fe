import { mkdirSync } from 'node:fs';
import { waitForLock } from './file-lock.mjs';
import { buildConsole } from './console-build.mjs';
import { checkMachine } from './machine.mjs';
import { buildNative } from './native-build.mjs';
import { ensurePackages } from './npm-packages.mjs';
import { inRepository, repository } from './paths.mjs';
import { usePrebuilt } from './prebuilt-addon.mjs';
import { say } from './print.mjs';
import { ensureTools, NATIVE_TOOLS } from './tools.mjs';
import { buildTypeScript } from './typescript-build.mjs';

/**
 * Installs and builds what is missing or out of date, one process of this folder at a time.
 * @param {{ tools: readonly import('./tools.mjs').Tool[], tests: boolean, build: boolean | 'typescript' }} what
 */
export async function prepare({ tools, tests, build }) {
  checkMachine();
  mkdirSync(inRepository('build'), { recursive: true });
  const lock = await waitForLock(inRepository('build', '.lock'), () =>
    say('Another command installs or builds in this folder; waiting for it.'),
  );
  try {
    const prebuilt = build === true && !tests && usePrebuilt(repository);
    await ensureTools(prebuilt ? tools.filter((tool) => !NATIVE_TOOLS.includes(tool)) : tools);
    await ensurePackages();
    if (build === true) {
      if (prebuilt) say('Using the prebuilt native engine.');
      else await buildNative({ tests });
    }
    if (build) await buildTypeScript();
    if (build === true) await buildConsole();
  } finally {
    lock.release();
  }
}
