import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { findExecutable, run } from './command.mjs';
import { inRepository } from './paths.mjs';

/** Folders of kernels (.cu), each with its PTX beside it. */
const FOLDERS = [
  ['native', 'backend', 'cuda', 'kernels'],
  ['native', 'simulator', 'test', 'kernels'],
];
/** The compiler whose PTX is committed: others write other text for the same kernel. */
const RELEASE = 'release 13.0';
/** What drivers from 2021 on take; nvcc writes its own, newer version, and uses nothing of it. */
const PTX_VERSION = '.version 7.4';

/** @returns {string | undefined} */
function findNvcc() {
  const usual = '/usr/local/cuda/bin/nvcc';
  return findExecutable('nvcc') ?? (existsSync(usual) ? usual : undefined);
}

/**
 * As it is committed: of our version, and without the hash of the source's whole path that nvcc puts into the names of what an
 * unnamed namespace holds.
 * @param {string} text
 */
const asCommitted = (text) =>
  text
    .replace(/^\.version .*$/m, PTX_VERSION)
    .replace(/(_INTERNAL_|_GLOBAL__N__)[0-9a-f]{8}_/g, '$100000000_');

/**
 * Builds one kernel file and compares it with the PTX beside it, or replaces that.
 * @param {string} nvcc @param {string} source  path of the .cu @param {string} folder  for what is built
 * @param {boolean} fix
 * @returns {Promise<string | undefined>} what is wrong
 */
async function compare(nvcc, source, folder, fix) {
  const name = basename(source, '.cu');
  const built = join(folder, `${name}.ptx`);
  const { code, output } = await run(nvcc, [
    '-ptx',
    '-arch=compute_80',
    '-std=c++17',
    `-I${inRepository('native')}`,
    source,
    '-o',
    built,
  ]);
  if (code !== 0) return `${name}.cu does not build:\n${output}`;
  const committed = join(dirname(source), `${name}.ptx`);
  const text = asCommitted(readFileSync(built, 'utf8'));
  if (existsSync(committed) && readFileSync(committed, 'utf8') === text) return undefined;
  if (!fix) return `${name}.ptx is not what nvcc makes of ${name}.cu (with ${PTX_VERSION})`;
  writeFileSync(committed, text);
  return undefined;
}

/**
 * Whether the committed PTX of all kernels is that of their sources; `fix`: makes it so.
 * @param {boolean} [fix] @returns {Promise<{ ok: boolean, output: string }>}
 */
export async function checkKernelTexts(fix = false) {
  const nvcc = findNvcc();
  if (!nvcc) return { ok: true, output: 'skipped: nvcc is not installed' };
  const { output: version } = await run(nvcc, ['--version']);
  if (!version.includes(RELEASE)) return { ok: true, output: `skipped: nvcc is not of ${RELEASE}` };
  const folder = mkdtempSync(join(tmpdir(), 'lorikeet-kernels-'));
  try {
    const sources = FOLDERS.flatMap((path) =>
      readdirSync(inRepository(...path))
        .filter((name) => name.endsWith('.cu'))
        .map((name) => inRepository(...path, name)),
    );
    const faults = await Promise.all(sources.map((source) => compare(nvcc, source, folder, fix)));
    const told = faults.filter((fault) => fault !== undefined);
    return { ok: told.length === 0, output: told.join('\n') };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
