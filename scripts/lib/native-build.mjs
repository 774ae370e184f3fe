import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { lastLines, run } from './command.mjs';
import { inRepository } from './paths.mjs';
import { step } from './print.mjs';
import { StopError } from './stop-error.mjs';

export const nativeFolder = inRepository('build', 'native');
const source = inRepository('native');

/** What a program of its own links with to run a model, in the linker's order. @returns {string[]} */
export const nativeLibraries = () =>
  ['model', 'reference', 'cpu', 'shared'].map((part) => join(nativeFolder, `liblorikeet_${part}.a`));

/** CMake's cache as far as we need it. @param {string} name @returns {string | undefined} */
function cached(name) {
  const cache = join(nativeFolder, 'CMakeCache.txt');
  if (!existsSync(cache)) return undefined;
  return new RegExp(`^${name}:[A-Z]+=(.*)$`, 'm').exec(readFileSync(cache, 'utf8'))?.[1];
}

/** @param {boolean} tests */
async function configure(tests) {
  // A folder that was moved or copied keeps the old paths in its cache, and CMake then refuses.
  if (cached('CMAKE_HOME_DIRECTORY') !== source) rmSync(nativeFolder, { recursive: true, force: true });
  const complete = existsSync(join(nativeFolder, 'build.ninja'));
  if (complete && (!tests || cached('LORIKEET_TESTS') === 'ON')) return;
  const options = ['-G', 'Ninja', '-DCMAKE_BUILD_TYPE=Release', `-DLORIKEET_TESTS=${tests ? 'ON' : 'OFF'}`];
  const { code, output } = await run('cmake', ['-S', source, '-B', nativeFolder, ...options]);
  if (code !== 0) throw new StopError(`CMake cannot configure the native engine:\n${lastLines(output, 40)}`);
}

/**
 * Builds the addon, and its tests when asked. Ninja knows what has changed.
 * @param {{ tests: boolean }} options
 */
export async function buildNative({ tests }) {
  await step(
    tests ? 'building the native engine and its tests' : 'building the native engine',
    async (progress) => {
      await configure(tests);
      const { code, output } = await run('ninja', ['-C', nativeFolder, tests ? 'all' : 'lorikeet_node'], {
        onOutput: (text) => {
          const count = /\[(\d+)\/(\d+)\]/.exec(text); // ninja's own
          if (count) progress(`${count[1]} of ${count[2]} files`);
        },
      });
      if (code !== 0) throw new StopError(`The native engine does not build:\n${lastLines(output, 60)}`);
    },
  );
}
