import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { run } from '../../scripts/lib/command.mjs';
import { assembleKernels, findToolkit } from '../../scripts/lib/kernel-texts.mjs';
import { nativeFolder, nativeLibraries } from '../../scripts/lib/native-build.mjs';
import { inRepository } from '../../scripts/lib/paths.mjs';
import { step } from '../../scripts/lib/print.mjs';
import { StopError } from '../../scripts/lib/stop-error.mjs';
import { compile } from '../kernels/probe.mjs';
import { conditions, loadLine, markdownTable } from '../report.mjs';

const SECTOR_BYTES = 32;
/** What a decode kernel may move, of the bytes that its op cannot do without. */
const LIMIT = 1.15;

/** @typedef {{ kernel: string, instructions: number, read: number, written: number, sectors: number, conflicts: number }} Launch */
/** @typedef {{ name: string, rows: number, bytes: number, launches: Launch[] }} CountedOp */

/** Ops of a decode step at the 8B shape on the simulated driver, launch by launch. @param {import('../options.mjs').BenchOptions} options */
export async function runDevice({ quick }) {
  const driver = join(nativeFolder, 'libcuda_sim.so');
  if (!existsSync(driver)) return { skipped: `${driver} was not built: npm test builds it` };
  const program = inRepository('build', 'bench', 'device_counters');
  const source = join(import.meta.dirname, 'device_counters.cc');
  await step('building the counters of the device', () =>
    compile({ source, program, include: inRepository('native'), libraries: nativeLibraries() }),
  );
  const env = {
    ...process.env,
    LORIKEET_CUDA_DRIVER: driver,
    LORIKEET_SIM_COUNTERS: '1',
    LORIKEET_SIM_RACES: 'off',
  };
  const { code, output } = await step('counting', () => run(program, quick ? ['quick'] : [], { env }));
  if (code !== 0) throw new StopError(`device_counters failed:\n${output}`);
  const toolkit = await findToolkit();
  const assembled = typeof toolkit === 'string' ? [] : (await assembleKernels(toolkit.ptxas)).kernels;
  return { ops: countedOps(output), assembled };
}

/** @param {string} output @returns {CountedOp[]} */
function countedOps(output) {
  /** @type {CountedOp[]} */
  const ops = [];
  for (const line of output.split('\n')) {
    if (line.startsWith('op: ')) ops.push({ ...JSON.parse(line.slice(4)), launches: [] });
    const launch = launchOf(line);
    if (launch) ops.at(-1)?.launches.push(launch);
  }
  return ops;
}

/** @param {string} line @returns {Launch | undefined} */
function launchOf(line) {
  const match =
    /^simulator: launch \d+ (\w+) instructions (\d+) .* read (\d+) written (\d+) sectors (\d+) .* conflicts (\d+)/.exec(
      line,
    );
  if (!match) return undefined;
  const [, kernel, ...counts] = match;
  const [instructions, read, written, sectors, conflicts] = counts.map(Number);
  return /** @type {Launch} */ ({ kernel, instructions, read, written, sectors, conflicts });
}

const mebibytes = (/** @type {number} */ bytes) => bytes / 2 ** 20;

/** @param {any} run */
export function deviceMarkdown({ machine, load, result }) {
  /** @type {{ ops: CountedOp[], assembled: import('../../scripts/lib/kernel-texts.mjs').Assembled[] }} */
  const { ops, assembled } = result;
  const moved = ({ sectors }) => sectors * SECTOR_BYTES;
  const rows = ops.flatMap(({ name, rows: count, bytes, launches }) => {
    const total = launches.reduce((sum, launch) => sum + moved(launch), 0);
    return launches.map((launch, i) => [
      i === 0 ? name : '',
      i === 0 ? count : '',
      i === 0 ? mebibytes(bytes) : '',
      i === 0 ? `${(total / bytes).toFixed(2)}${total > LIMIT * bytes ? ' !' : ''}` : '',
      launch.kernel,
      launch.instructions,
      mebibytes(launch.read + launch.written),
      mebibytes(moved(launch)),
      launch.conflicts,
    ]);
  });
  const named = [...new Set(ops.flatMap(({ launches }) => launches.map(({ kernel }) => kernel)))];
  const built = assembled.filter(({ kernel }) => named.includes(kernel));
  return `# Decode ops on a device, counted by the simulator

${conditions(machine, {})}
${loadLine(load)}

One layer's ops at the 8B shape, launch by launch. *Needed*: weights, adapters and cache once, activations in and out. *Sectors*: what
warps ask of the caches, 32 bytes at a time, the same bytes again for each block that wants them; of that the memory itself sees
what no cache holds. A ratio above ${LIMIT} is marked.

${markdownTable(['op', 'rows', 'needed MiB', 'sectors / needed', 'kernel', 'instructions', 'asked MiB', 'sectors MiB', 'bank conflicts'], rows)}

## Kernels as assembled
${markdownTable(
  ['kernel', 'for', 'registers', 'shared bytes', 'spilled bytes'],
  built.map(({ kernel, architecture, registers, sharedBytes, spilledBytes }) => [
    kernel,
    architecture,
    registers,
    sharedBytes,
    spilledBytes,
  ]),
)}
`;
}
