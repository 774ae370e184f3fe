import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { findExecutable, lastLines, run, succeeds } from './command.mjs';
import { step, warn } from './print.mjs';
import { StopError } from './stop-error.mjs';

/**
 * @typedef {object} Tool
 * @property {string} package  Debian's name
 * @property {readonly string[]} [executables]  any one of them will do
 * @property {string} [header]  or: a C++ header
 * @property {string} [withoutIt]  what happens without it; absent: nothing works
 */

/** @satisfies {Record<string, Tool>} */
export const TOOLS = {
  cmake: { package: 'cmake', executables: ['cmake'] },
  ninja: { package: 'ninja-build', executables: ['ninja'] },
  compiler: { package: 'g++', executables: ['g++', 'c++'] },
  json: { package: 'nlohmann-json3-dev', header: 'nlohmann/json.hpp' },
  doctest: { package: 'doctest-dev', header: 'doctest/doctest.h' },
  curl: { package: 'curl', executables: ['curl'] },
  chromium: { package: 'chromium', executables: ['chromium', 'chromium-browser', 'google-chrome'] },
  clangFormat: {
    package: 'clang-format',
    executables: ['clang-format'],
    withoutIt: 'the format of C++ files is not checked',
  },
  redis: {
    // Not redis-server: that package would start a service of its own beside ours (redis.mjs).
    package: 'redis-tools',
    executables: ['redis-server', 'redis-check-rdb'],
    withoutIt: 'the job queue lies in PostgreSQL',
  },
};

/** What only a build of the native engine needs. @type {readonly Tool[]} */
export const NATIVE_TOOLS = [TOOLS.cmake, TOOLS.ninja, TOOLS.compiler, TOOLS.json];

const INCLUDE_FOLDERS = ['/usr/include', '/usr/local/include'];
const LISTS = '/var/lib/apt/lists';
const LISTS_STALE_MS = 24 * 3600_000;

/** @param {Tool} tool */
function isThere(tool) {
  if (tool.header) {
    const { header } = tool;
    return INCLUDE_FOLDERS.some((folder) => existsSync(join(folder, header)));
  }
  return (tool.executables ?? []).some((name) => findExecutable(name) !== undefined);
}

/** How apt-get may be called here, or undefined when we lack the rights (or apt). */
function aptPrefix() {
  if (!findExecutable('apt-get')) return undefined;
  const options = ['-q', '-o', 'DPkg::Lock::Timeout=300', '-o', 'Acquire::Retries=3'];
  const quiet = ['env', 'DEBIAN_FRONTEND=noninteractive', 'apt-get', ...options];
  if (process.getuid?.() === 0) return quiet;
  if (findExecutable('sudo') && succeeds('sudo', ['-n', 'true'])) return ['sudo', '-n', ...quiet];
  return undefined;
}

function listsAreFresh() {
  if (!existsSync(LISTS)) return false;
  const lists = readdirSync(LISTS).filter((name) => name.includes('_Packages'));
  const newest_ms = Math.max(0, ...lists.map((name) => statSync(join(LISTS, name)).mtimeMs));
  // mtime is the archive's own time, so the folder's time tells when it was last fetched.
  return newest_ms > 0 && Date.now() - statSync(LISTS).mtimeMs < LISTS_STALE_MS;
}

/**
 * Breaking apt off would leave dpkg half-configured, so it may outlive us; the next start waits for its lock.
 * @param {readonly string[]} prefix
 * @param {readonly string[]} packages
 */
async function aptInstall(prefix, packages) {
  const [command = 'apt-get', ...args] = prefix;
  const update = () => run(command, [...args, 'update'], { outliveUs: true });
  const install = () =>
    run(command, [...args, 'install', '-y', '--no-install-recommends', ...packages], { outliveUs: true });
  const fresh = listsAreFresh();
  if (!fresh) await update();
  let result = await install();
  if (result.code !== 0) {
    await update();
    result = await install();
  }
  return result;
}

/**
 * Installs through apt what is missing, or says which command would.
 * @param {readonly Tool[]} wanted
 */
export async function ensureTools(wanted) {
  const missing = wanted.filter((tool) => !isThere(tool));
  if (missing.length === 0) return;
  const needed = missing.filter((tool) => tool.withoutIt === undefined);
  const names = missing.map((tool) => tool.package);
  const byHand = `sudo apt-get update && sudo apt-get install -y --no-install-recommends ${names.join(' ')}`;
  const prefix = aptPrefix();
  if (prefix === undefined) {
    if (needed.length > 0) throw new StopError(`Missing: ${names.join(', ')}. Please run:\n  ${byHand}`);
  } else {
    const { code, output } = await step(`installing ${names.join(', ')} with apt`, () =>
      aptInstall(prefix, names),
    );
    if (code !== 0 && needed.length > 0) {
      throw new StopError(
        `apt could not install ${names.join(', ')}:\n${lastLines(output, 15)}\nThe command:\n  ${byHand}`,
      );
    }
  }
  for (const tool of wanted) {
    if (isThere(tool)) continue;
    if (tool.withoutIt === undefined)
      throw new StopError(`${tool.package} is installed but cannot be found.`);
    warn(
      `Without ${tool.package}, ${tool.withoutIt}. To install it: sudo apt-get install -y ${tool.package}`,
    );
  }
}
