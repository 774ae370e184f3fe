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
  ['model', 'reference', 'cpu', 'cuda', 'shared'].map((part) => join(nativeFolder, `liblorikeet_${part}.a`));

/** CMake's cache as far as we need it. @param {string} folder @param {string} name @returns {string | undefined} */
function cached(folder, name) {
  const cache = join(folder, 'CMakeCache.txt');
  if (!existsSync(cache)) return undefined;
  return new RegExp(`^${name}:[A-Z]+=(.*)$`, 'm').exec(readFileSync(cache, 'utf8'))?.[1];
}

/**
 * @typedef {object} NativeBuild
 * @property {string} folder
 * @property {readonly string[]} options  of CMake: -DNAME=VALUE
 * @property {readonly string[]} targets
 * @property {(done: string) => void} progress
 */

/** @param {NativeBuild} build */
async function configure({ folder, options }) {
  // A folder that was moved or copied keeps the old paths in its cache, and CMake then refuses.
  if (cached(folder, 'CMAKE_HOME_DIRECTORY') !== source) rmSync(folder, { recursive: true, force: true });
  const complete = existsSync(join(folder, 'build.ninja'));
  const same = options.every((option) => {
    const [, name = '', value] = /^-D(\w+)=(.*)$/.exec(option) ?? [];
    return cached(folder, name) === value;
  });
  if (complete && same) return;
  const args = ['-G', 'Ninja', '-DCMAKE_BUILD_TYPE=Release', ...options];
  const { code, output } = await run('cmake', ['-S', source, '-B', folder, ...args]);
  if (code !== 0) throw new StopError(`CMake cannot configure the native engine:\n${lastLines(output, 40)}`);
}

/** Builds what has changed; Ninja knows. @param {NativeBuild} build */
export async function buildInFolder(build) {
  await configure(build);
  const { code, output } = await run('ninja', ['-C', build.folder, ...build.targets], {
    onOutput: (text) => {
      const count = /\[(\d+)\/(\d+)\]/.exec(text); // ninja's own
      if (count) build.progress(`${count[1]} of ${count[2]} files`);
    },
  });
  if (code !== 0) throw new StopError(`The native engine does not build:\n${lastLines(output, 60)}`);
}

/**
 * Builds the addon, and its tests when asked.
 * @param {{ tests: boolean }} options
 */
export async function buildNative({ tests }) {
  // Once they are there, tests stay configured: a build without them is a choice of targets.
  const configured = tests || cached(nativeFolder, 'LORIKEET_TESTS') === 'ON';
  await step(tests ? 'building the native engine and its tests' : 'building the native engine', (progress) =>
    buildInFolder({
      folder: nativeFolder,
      options: [`-DLORIKEET_TESTS=${configured ? 'ON' : 'OFF'}`],
      targets: [tests ? 'all' : 'lorikeet_node'],
      progress,
    }),
  );
}
