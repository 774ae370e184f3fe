import { createHash } from 'node:crypto';
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
/** What the PTX is compiled to by way of trial: the least that is served, and the reference card. */
const ARCHITECTURES = ['sm_80', 'sm_90'];

/** @typedef {{ nvcc: string, ptxas: string }} Toolkit */
/** @typedef {{ kernel: string, architecture: string, registers: number, sharedBytes: number, spilledBytes: number }} Assembled */

/** @returns {string | undefined} */
function findNvcc() {
  const folders = existsSync('/usr/local') ? readdirSync('/usr/local') : [];
  const usual = folders
    .filter((name) => name.startsWith('cuda'))
    .sort()
    .map((name) => join('/usr/local', name, 'bin', 'nvcc'));
  return findExecutable('nvcc') ?? usual.find((path) => existsSync(path));
}

/** @returns {Promise<Toolkit | string>} why there is none that will do */
export async function findToolkit() {
  const nvcc = findNvcc();
  if (nvcc === undefined) return 'nvcc is not installed';
  const { output } = await run(nvcc, ['--version']);
  if (!output.includes(RELEASE)) return `nvcc is not of ${RELEASE}`;
  // nvcc on the PATH may be a link; the assembler lies where it really is.
  const { output: dry } = await run(nvcc, ['--dryrun', '-x', 'cu', '-ptx', '/dev/null']);
  const real = /^#\$ TOP=(.*)$/m.exec(dry)?.[1];
  const ptxas = findExecutable('ptxas') ?? (real === undefined ? '' : join(real, 'bin', 'ptxas'));
  return existsSync(ptxas) ? { nvcc, ptxas } : 'ptxas is not installed beside nvcc';
}

/** @returns {string[]} */
function kernelSources() {
  return FOLDERS.flatMap((path) =>
    readdirSync(inRepository(...path))
      .filter((name) => name.endsWith('.cu'))
      .map((name) => inRepository(...path, name)),
  );
}

/**
 * Of a kernel file and of all that it includes from the repository.
 * @param {string} source
 */
function hashOfSources(source) {
  const seen = new Set();
  const hash = createHash('sha256');
  const take = (/** @type {string} */ path) => {
    if (seen.has(path)) return;
    seen.add(path);
    const text = readFileSync(path, 'utf8');
    hash.update(text);
    for (const [, name] of text.matchAll(/^#include "(.+)"$/gm)) take(inRepository('native', String(name)));
  };
  take(source);
  return hash.digest('hex');
}

/** @param {string} source */
const firstLine = (source) => `// of sources ${hashOfSources(source)}\n`;
/** @param {string} source */
const textOf = (source) => join(dirname(source), `${basename(source, '.cu')}.ptx`);

/**
 * As it is committed: of our version, without hints that are newer than that, and without the hash of the source's whole path that
 * nvcc puts into the names of what an unnamed namespace holds.
 * @param {string} text
 */
const asCommitted = (text) =>
  text
    .replace(/^\.version .*$/m, PTX_VERSION)
    .replace(/^\s*\.pragma "used_bytes_mask .*";\n/gm, '')
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
  const committed = textOf(source);
  const text = firstLine(source) + asCommitted(readFileSync(built, 'utf8'));
  if (existsSync(committed) && readFileSync(committed, 'utf8') === text) return undefined;
  if (!fix) return `${name}.ptx is not what nvcc makes of ${name}.cu (with ${PTX_VERSION})`;
  writeFileSync(committed, text);
  return undefined;
}

/**
 * Without a compiler, what can be told: whether a source changed and its PTX did not.
 * @param {string} source
 * @returns {string | undefined}
 */
function compareHash(source) {
  const committed = textOf(source);
  if (existsSync(committed) && readFileSync(committed, 'utf8').startsWith(firstLine(source)))
    return undefined;
  return `${basename(committed)} was made of other sources: npm run kernels, where nvcc is`;
}

/**
 * @template T
 * @param {(folder: string) => Promise<T>} work
 */
async function inFolder(work) {
  const folder = mkdtempSync(join(tmpdir(), 'lorikeet-kernels-'));
  try {
    return await work(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/**
 * What the assembler makes of one kernel file's PTX.
 * @param {string} ptxas @param {string} text  path @param {string} architecture @param {string} folder
 * @returns {Promise<Assembled[] | string>} or what it complains of
 */
async function assemble(ptxas, text, architecture, folder) {
  const object = join(folder, `${basename(text)}.${architecture}`);
  const { code, output } = await run(ptxas, ['-v', `-arch=${architecture}`, text, '-o', object]);
  if (code !== 0) return output;
  const entries = output.split(/Compiling entry function '/).slice(1);
  return entries.map((entry) => {
    const number = (/** @type {RegExp} */ pattern) => Number(pattern.exec(entry)?.[1] ?? 0);
    return {
      kernel: entry.slice(0, entry.indexOf("'")),
      architecture,
      registers: number(/Used (\d+) registers/),
      sharedBytes: number(/(\d+) bytes smem/),
      spilledBytes: number(/(\d+) bytes spill stores/),
    };
  });
}

/**
 * All of the backend's kernels for all architectures.
 * @param {string} ptxas
 * @returns {Promise<{ kernels: Assembled[], faults: string[] }>}
 */
export async function assembleKernels(ptxas) {
  const texts = kernelSources()
    .filter((source) => source.startsWith(inRepository('native', 'backend')))
    .map(textOf);
  const work = ARCHITECTURES.flatMap((architecture) => texts.map((text) => ({ text, architecture })));
  return inFolder(async (folder) => {
    const kernels = [];
    const faults = [];
    for (const { text, architecture } of work) {
      const made = await assemble(ptxas, text, architecture, folder);
      if (typeof made === 'string') faults.push(`${basename(text)} for ${architecture}: ${made}`);
      else kernels.push(...made);
    }
    for (const { kernel, architecture, spilledBytes } of kernels)
      if (spilledBytes > 0)
        faults.push(`${kernel} spills ${spilledBytes} bytes of registers on ${architecture}`);
    return { kernels, faults };
  });
}

/**
 * Whether the committed PTX of all kernels is that of their sources, and no kernel spills registers; `fix`: makes it so.
 * @param {boolean} [fix] @returns {Promise<{ ok: boolean, output: string }>}
 */
export async function checkKernelTexts(fix = false) {
  const toolkit = await findToolkit();
  if (typeof toolkit === 'string') {
    const told = kernelSources().flatMap((source) => compareHash(source) ?? []);
    return told.length === 0
      ? { ok: true, output: `skipped: ${toolkit}; the sources are those of the PTX` }
      : { ok: false, output: told.join('\n') };
  }
  const faults = await inFolder((folder) =>
    Promise.all(kernelSources().map((source) => compare(toolkit.nvcc, source, folder, fix))),
  );
  const told = faults.filter((fault) => fault !== undefined);
  if (told.length === 0) told.push(...(await assembleKernels(toolkit.ptxas)).faults);
  return { ok: told.length === 0, output: told.join('\n') };
}
