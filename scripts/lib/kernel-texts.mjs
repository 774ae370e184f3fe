import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findExecutable, run } from './command.mjs';
import { inRepository } from './paths.mjs';

const KERNELS = ['native', 'simulator', 'test', 'kernels'];
/** The compiler whose PTX is committed: others write other text for the same kernel. */
const RELEASE = 'release 13.0';
/** What drivers from 2021 on take; nvcc writes its own, newer version, and uses nothing of it. */
const PTX_VERSION = '.version 7.4';

/** @returns {string | undefined} */
function findNvcc() {
  const usual = '/usr/local/cuda/bin/nvcc';
  return findExecutable('nvcc') ?? (existsSync(usual) ? usual : undefined);
}

/** @param {string} text */
const withOurVersion = (text) => text.replace(/^\.version .*$/m, PTX_VERSION);

/**
 * Builds one kernel file and compares it with the PTX beside it.
 * @param {string} nvcc @param {string} name @param {string} folder  for what is built
 * @returns {Promise<string | undefined>} what is wrong
 */
async function compare(nvcc, name, folder) {
  const source = inRepository(...KERNELS, `${name}.cu`);
  const built = join(folder, `${name}.ptx`);
  const { code, output } = await run(nvcc, ['-ptx', '-arch=compute_80', '-std=c++17', source, '-o', built]);
  if (code !== 0) return `${name}.cu does not build:\n${output}`;
  const committed = inRepository(...KERNELS, `${name}.ptx`);
  const same =
    existsSync(committed) && readFileSync(committed, 'utf8') === withOurVersion(readFileSync(built, 'utf8'));
  return same ? undefined : `${name}.ptx is not what nvcc makes of ${name}.cu (with ${PTX_VERSION})`;
}

/** Whether the committed PTX of the simulator's tests is that of their sources. @returns {Promise<{ ok: boolean, output: string }>} */
export async function checkKernelTexts() {
  const nvcc = findNvcc();
  if (!nvcc) return { ok: true, output: 'skipped: nvcc is not installed' };
  const { output: version } = await run(nvcc, ['--version']);
  if (!version.includes(RELEASE)) return { ok: true, output: `skipped: nvcc is not of ${RELEASE}` };
  const folder = mkdtempSync(join(tmpdir(), 'lorikeet-kernels-'));
  try {
    const names = readdirSync(inRepository(...KERNELS))
      .filter((name) => name.endsWith('.cu'))
      .map((name) => name.slice(0, -'.cu'.length));
    const faults = await Promise.all(names.map((name) => compare(nvcc, name, folder)));
    const told = faults.filter((fault) => fault !== undefined);
    return { ok: told.length === 0, output: told.join('\n') };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
