import { existsSync, mkdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { findExecutable, run } from '../../scripts/lib/command.mjs';
import { inRepository } from '../../scripts/lib/paths.mjs';
import { StopError } from '../../scripts/lib/stop-error.mjs';

const SOURCE = join(import.meta.dirname, 'machine_probe.cc');
const PROGRAM = inRepository('build', 'bench', 'machine_probe');

/**
 * Compiles one C++ file against parts of the native engine, unless its program is newer than all of them.
 * @param {{ source: string, program: string, include?: string, libraries?: string[] }} what
 */
export async function compile({ source, program, include, libraries = [] }) {
  const newest = Math.max(...[source, ...libraries].map((path) => statSync(path).mtimeMs));
  if (existsSync(program) && statSync(program).mtimeMs > newest) return;
  const compiler = findExecutable('c++') ?? findExecutable('g++');
  if (!compiler) throw new StopError('no C++ compiler: npm run build installs one');
  mkdirSync(join(program, '..'), { recursive: true });
  const where = [...(include ? [`-I${include}`] : []), source, ...libraries, '-o', program];
  const { code, output } = await run(compiler, ['-O3', '-std=c++20', '-pthread', ...where]);
  if (code !== 0) throw new StopError(`${source} does not compile:\n${output}`);
}

/** @typedef {{ threads: number, readGBps: number, fp32Gops?: number, bf16Gops?: number, int8Gops?: number }} ProbePoint */

/**
 * What the machine can do at this moment.
 * @param {number} threads
 * @param {number} [seconds]  of each of its measurements
 * @returns {Promise<ProbePoint[]>} for one thread, and for all when there are more
 */
export async function probeMachine(threads, seconds = 0.3) {
  await compile({ source: SOURCE, program: PROGRAM });
  const { code, output } = await run(PROGRAM, [String(threads), String(seconds)]);
  if (code !== 0) throw new StopError(`machine_probe failed: ${output}`);
  return JSON.parse(output).points;
}

/** One line for people. @param {readonly ProbePoint[]} points */
export function describeProbe(points) {
  return points
    .map(({ threads, readGBps, ...peaks }) => {
      const gops = Object.entries(peaks).map(
        ([name, value]) => `${name.replace('Gops', '')} ${Math.round(value)}`,
      );
      return `${threads} thread${threads > 1 ? 's' : ''}: read ${readGBps.toFixed(1)} GB/s, Gop/s ${gops.join(', ')}`;
    })
    .join('; ');
}
