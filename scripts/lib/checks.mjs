import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { findExecutable, run } from './command.mjs';
import { includeFaults } from './include-rules.mjs';
import { checkKernelTexts } from './kernel-texts.mjs';
import { inRepository, repository } from './paths.mjs';
import { unusedExports } from './unused-exports.mjs';

/** @typedef {{ ok: boolean, output: string }} CheckResult */

const LONG_LINES = 400;

/** Runs a program of an npm package in the repository. @param {string} path @param {readonly string[]} args @returns {Promise<CheckResult>} */
async function tool(path, args) {
  const { code, output } = await run(process.execPath, [inRepository('node_modules', path), ...args], {
    cwd: repository,
  });
  return { ok: code === 0, output };
}

/** @param {readonly string[]} folders @param {RegExp} ending @returns {string[]} relative to the repository */
function filesOf(folders, ending) {
  return folders
    .filter((folder) => existsSync(inRepository(folder)))
    .flatMap((folder) =>
      readdirSync(inRepository(folder), { recursive: true, encoding: 'utf8' }).map((path) =>
        join(folder, path),
      ),
    )
    .filter((path) => ending.test(path) && !path.includes('node_modules/'));
}

const nativeFiles = () => filesOf(['native'], /\.(cc|cu|h|cuh)$/);

/** @returns {Promise<CheckResult>} */
async function checkIncludes() {
  const faults = nativeFiles().flatMap((path) =>
    includeFaults(relative('native', path), readFileSync(inRepository(path), 'utf8')),
  );
  return { ok: faults.length === 0, output: faults.join('\n') };
}

/** @returns {Promise<CheckResult>} */
async function checkNativeFormat() {
  const program = findExecutable('clang-format');
  if (!program) return { ok: true, output: 'left out: clang-format is not installed' };
  const { code, output } = await run(program, ['--dry-run', '-Werror', ...nativeFiles()], {
    cwd: repository,
  });
  return { ok: code === 0, output };
}

/** Only told, never a failure: some files are one thing and long. @returns {Promise<CheckResult>} */
async function reportLongFiles() {
  const files = filesOf(
    ['apps', 'libs', 'migrations', 'native', 'scripts', 'test', 'bench', 'examples', 'models'],
    /\.(ts|tsx|mjs|cc|h|cu|cuh|py)$/,
  );
  const long = files
    .map((path) => ({ path, lines: readFileSync(inRepository(path), 'utf8').split('\n').length - 1 }))
    .filter(({ lines }) => lines > LONG_LINES)
    .map(({ path, lines }) => `${lines} lines, is it one thing? ${path}`);
  return { ok: true, output: long.join('\n') };
}

/** @returns {Promise<CheckResult>} */
async function checkExports() {
  // What contracts exports is its interface, whoever uses it.
  const isSource = (/** @type {string} */ path) => !/\.test\.tsx?$|^libs\/contracts\//.test(path);
  const sources = [
    ...filesOf(['apps', 'libs'], /\.tsx?$/).filter(isSource),
    ...filesOf(['scripts'], /\.mjs$/),
  ];
  const users = filesOf(['apps', 'libs', 'migrations', 'scripts', 'test', 'bench'], /\.(ts|tsx|mjs)$/);
  const unused = unusedExports(sources, users, (path) => readFileSync(inRepository(path), 'utf8'));
  return { ok: unused.length === 0, output: unused.map((each) => `${each} is used nowhere else`).join('\n') };
}

/** Everything that `npm run check` looks at. @type {readonly { name: string, check: () => Promise<CheckResult> }[]} */
export const CHECKS = [
  {
    name: 'format (biome)',
    check: () => tool('@biomejs/biome/bin/biome', ['format', '--no-errors-on-unmatched']),
  },
  { name: 'lint (oxlint)', check: () => tool('oxlint/bin/oxlint', ['--deny-warnings']) },
  {
    name: 'long functions (oxlint)',
    check: () => tool('oxlint/bin/oxlint', ['--config', '.oxlintrc.functions.json', '--deny-warnings']),
  },
  { name: 'types (tsc)', check: () => tool('typescript/bin/tsc', ['-p', 'tsconfig.json', '--noEmit']) },
  {
    name: 'types of the console (tsc)',
    check: () => tool('typescript/bin/tsc', ['-p', 'apps/console/tsconfig.json', '--noEmit']),
  },
  {
    name: 'imports (dependency-cruiser)',
    check: () =>
      tool('dependency-cruiser/bin/dependency-cruise.mjs', [
        '--config',
        '.dependency-cruiser.cjs',
        'apps',
        'libs',
        'migrations',
        'scripts',
      ]),
  },
  { name: 'unused exports', check: checkExports },
  { name: 'includes of native/', check: checkIncludes },
  { name: 'format of native/ (clang-format)', check: checkNativeFormat },
  { name: 'kernels as PTX (nvcc)', check: () => checkKernelTexts() },
  { name: 'long files', check: reportLongFiles },
];

/** Formats all files as the checks want them. */
export async function formatAll() {
  await tool('@biomejs/biome/bin/biome', ['format', '--write']);
  const program = findExecutable('clang-format');
  if (program) await run(program, ['-i', ...nativeFiles()], { cwd: repository });
  await checkKernelTexts(true);
}
